"""What can be known to be wrong before anything is started. Each check is a function in the module of its subject."""
