"""From a command line or a study to cells: names resolved, cells chosen, parts dealt out; needs no tensor library."""
