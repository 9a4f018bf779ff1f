"""Records in, a static site out; needs no tensor library."""
