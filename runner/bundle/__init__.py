"""Reading a bundle: its metadata, its wire function, its content and digest."""
