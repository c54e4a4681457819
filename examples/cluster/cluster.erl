%% Keeps this node connected to those in PEERS, and tells who comes and goes. One node of each host is enough there:
%% nodes that connect tell each other of all that they know, and connect to those too (OTP's global).
-module(cluster).
-export([start/0]).

start() ->
    [spawn(fun() -> keep(list_to_atom(Peer)) end) || Peer <- string:lexemes(os:getenv("PEERS", ""), " ")],
    spawn(fun watch/0).

%% a process for each peer: one that is cut off holds up a try for seconds
keep(Peer) ->
    net_kernel:connect_node(Peer),
    timer:sleep(1000),
    keep(Peer).

watch() ->
    ok = net_kernel:monitor_nodes(true),
    [self() ! {nodeup, Peer} || Peer <- nodes()], % those that were faster
    tell().

tell() ->
    receive {Change, Peer} -> io:format("~s ~s ~s~n", [node(), Change, Peer]) end,
    tell().
