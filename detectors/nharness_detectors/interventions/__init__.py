"""What is done to a target's neurons: one file per intervention, small families together."""
