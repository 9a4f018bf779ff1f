"""What a run leaves behind: records with their provenance, its folder, and the claims that were checked."""
