"""The command line: the only place that prints or exits. One module a command, imported when it is named."""
