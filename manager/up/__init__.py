"""`thwart up`: broker, manager and agent of one host, in the foreground."""
