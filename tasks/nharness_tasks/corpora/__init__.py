"""The text that nharness ships and the recipe that cuts it from openly licensed sources."""
