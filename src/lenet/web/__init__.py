"""What the lab and the service have in common: sockets, connections, the names they answer to."""
