"""What is looked at before anything is run: this machine, or a cluster."""
