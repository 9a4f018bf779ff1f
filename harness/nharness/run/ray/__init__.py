"""Work on Ray: the executor, its pool of actors, and what runs in each of them."""
