"""What a launch needs, in closed form: memory of each device by phase, of the host, and time. Nothing is measured."""
