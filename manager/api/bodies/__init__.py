"""What goes into the HTTP API and comes out of it, as JSON: the contract between the manager and its clients."""
