"""What is done to a target's neurons: one file an intervention, small ones of one family together."""
