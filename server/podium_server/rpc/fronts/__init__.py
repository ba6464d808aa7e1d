"""Fronts: each front receives calls with its own library, and passes them to handlers in `rpc`.

A front passes the bytes of a request to a handler. The handler returns bytes, a stream of bytes, or
a status. For each call, the front provides the address of the connection (`peer`), and a function
that ends the call with an error while it runs. The front cancels the task of a call when the client
cancels or the deadline passes.
"""
