"""Fronts. Each uses another library to pass calls to the handlers of `podium_server.rpc`.

A front passes the bytes of a request to a handler. It gets back bytes, a stream of bytes, or a
status. For each call it provides the connection (`peer`) and a way to reject the call while it is
under way. It cancels the task of a call when the client cancels or the deadline passes.
"""
