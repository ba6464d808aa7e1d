"""Fronts: each carries calls to the handlers of `podium_server.rpc` by another library.

A front gives bytes in and takes bytes, a stream of bytes, or a status out. For each call it
provides the connection (`peer`) and a way to refuse the call while it is under way. It cancels
the task of a call when the client cancels or the deadline passes.
"""
