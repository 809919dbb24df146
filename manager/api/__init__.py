"""The HTTP API: what it takes and gives, who may use it, and the server that it runs on."""
