"""Access control: decides which caller may make which call, on which experiments.

`rules` has one rule for each method. Before a front reads a request, it calls `Access.enter`, which
checks the token and its role. The handlers of `podium_server.rpc.handlers` check the experiment's
name in the request with `name_check`, before they ask a cache or the store. A stream checks its
caller again before each message. Lists of experiments show only those that the caller may read.
"""
