"""The command line: the only place that prints or exits. One module per command, imported when it is named."""
