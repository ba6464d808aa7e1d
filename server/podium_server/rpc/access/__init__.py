"""Access control: which caller may make which call, on which names.

`rules` has one rule for each method. A front calls `Access.enter` before it reads a request, which
checks the token and its role. The handlers of `podium_server.rpc.handlers` check the name in the
request by `name_check`, before they ask a cache or the store. A stream
checks its caller again before each message. Lists of experiments show those of the caller only.
"""
