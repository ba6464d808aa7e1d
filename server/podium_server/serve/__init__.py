"""Starting and stopping a server: flags, settings, wiring, logs, signals."""
