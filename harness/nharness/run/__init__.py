"""The line: plan, load, record, detect, edit, evaluate, compare, record; each stage a file with a content key."""
