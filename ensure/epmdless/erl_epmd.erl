%% This module takes the place of OTP's own erl_epmd, the client of epmd, so that the nodes of one user on one host find each other
%% without epmd. A node loads it because its directory stands first in the path (-pa): also in embedded mode, where a VM loads no
%% module that its boot file does not name. What it exports is what OTP's exports; names of other hosts, and those that no file has,
%% are asked of epmd as by OTP's.
%%
%% A node is registered by a file NAME.PID in a directory that only its user can enter. The directory and the user's number are
%% arguments of the VM: -beamrun_nodes DIRECTORY [UID]. Package epmdless, in Go, reads the same files, and describes them.
%%
%% Each node has a file of its own, so a dead one can be removed at any time. No two nodes have one name, for each makes its file first
%% and then looks for others: of two, one at least sees the other, gives way, and tries again a moment later.
%%
%% Much of it runs while kernel boots, before there is a file server: hence raw files and prim_file.
%%
%% It is compiled by OTP 23 and loaded by all later versions, which no longer know some of that compiler's instructions:
%% allocate_zero, init and kill, which it emits where a function keeps the result of one call during the next but not from its
%% beginning to its end, make_fun2, and those that make a binary. So such a result is handed to a function of its own, and there is
%% no fun and no binary.
-module(erl_epmd).
-behaviour(gen_server).

-export([start/0, start_link/0, stop/0, open/0, open/1, open/2, register_node/2, register_node/3, port_please/2, port_please/3, listen_port_please/2,
         address_please/3, names/0, names/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-include_lib("kernel/include/file.hrl").

-define(HANDSHAKE, 6).       % its version, of OTP 23 and later
-define(MAX_LINE, 512).      % bytes of a registration; what is longer is none
-define(MAX_PEERS, 1048576). % bytes of a file of peers
-define(CHECK, 2000).        % ms after which the node looks whether its file is still there
-define(UNFINISHED, 10).     % s that a file may have no whole line yet
-define(PATIENCE, 500).      % ms for a connection to a port
-define(BUDGET, 1000).       % ms for all connections of one search
-define(MAX_ENTRIES, 4096).  % of the folder, that are looked at
-define(MAX_LINKS, 40).      % in the folder's path
-define(EPMD_PATIENCE, 10000). % ms for a reply of epmd, as OTP's own has it
-define(MAX_REPLY, 4194304). % bytes of it

start() -> gen_server:start({local, ?MODULE}, ?MODULE, [], []).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

stop() -> gen_server:stop(?MODULE).

%% --- what OTP asks

%% 0: any port, or one from kernel's inet_dist_listen_min to inet_dist_listen_max.
listen_port_please(_Name, _Host) -> {ok, 0}.

register_node(Name, Port) -> register_node(Name, Port, inet_tcp).
register_node(Name, Port, Driver) -> gen_server:call(?MODULE, {register, text(Name), Port, Driver}, infinity).

address_please(Name, Host, Family) -> with_port(Name, Host, inet:getaddr(Host, Family)).

with_port(Name, Host, {ok, Ip}) ->
    case lookup(Name, Host, Ip) of
        noport -> {ok, Ip}; % then it asks port_please
        Port -> {ok, Ip, Port, ?HANDSHAKE}
    end;
with_port(_, _, Error) -> Error.

port_please(Name, Host) -> port_please(Name, Host, infinity).
port_please(Name, Host, Timeout) -> port_at(Name, Host, Timeout, address(Host)).

port_at(Name, Host, Timeout, {ok, Ip}) ->
    case lookup(Name, Host, Ip) of
        noport -> of_epmd(ask(Ip, [$z | text(Name)], Timeout));
        Port -> {port, Port, ?HANDSHAKE}
    end;
port_at(_, _, _, _) -> noport.

names() ->
    {ok, Host} = inet:gethostname(),
    names(Host).
names(Host) -> names_at(address(Host)).

names_at({ok, Ip}) -> names_with(nodes_at({ok, Ip}, any), ask(Ip, "n", ?EPMD_PATIENCE));
names_at(Error) -> Error.

names_with([], []) -> {error, address}; % as OTP's own has it where no epmd answers
names_with(Nodes, Reply) -> {ok, [{Name, Port} || #{name := Name, port := Port} <- Nodes] ++ of_names(Reply)}.

%% --- epmd's client

open() -> open({127, 0, 0, 1}).
open(Ip) -> open(Ip, ?EPMD_PATIENCE).
open(Ip, Timeout) -> open(Ip, [], Timeout).

open(Ip, Options, Timeout) -> connect(Ip, epmd_port(init:get_argument(epmd_port)), Options, Timeout).

connect({_, _, _, _} = Ip, Port, Options, Timeout) -> gen_tcp:connect(Ip, Port, [inet | Options], Timeout);
connect(Ip, Port, Options, Timeout) -> gen_tcp:connect(Ip, Port, [inet6 | Options], Timeout).

epmd_port({ok, [[Port | _] | _]}) -> list_to_integer(Port);
epmd_port(_) -> 4369.

%% The whole reply to a request, "" if there is none in time.
ask(Ip, Request, infinity) -> ask(Ip, Request, ?EPMD_PATIENCE);
ask(Ip, Request, Timeout) -> ask(Ip, Request, now_ms() + Timeout, Timeout).

ask(Ip, Request, Deadline, Timeout) -> sent(open(Ip, [{active, false}], Timeout), Request, Deadline).

sent({ok, Socket}, Request, Deadline) ->
    replied(gen_tcp:send(Socket, [length(Request) bsr 8, length(Request) band 255 | Request]), Socket, Deadline);
sent(_, _, _) -> "".

replied(ok, Socket, Deadline) -> receive_all(Socket, "", 0, Deadline);
replied(_, Socket, _) -> closed_with(Socket, "").

receive_all(Socket, _, Size, _) when Size > ?MAX_REPLY -> closed_with(Socket, "");
receive_all(Socket, Got, Size, Deadline) -> received(recv(Socket, Deadline - now_ms()), Socket, Got, Size, Deadline).

recv(Socket, Left) when Left > 0 -> gen_tcp:recv(Socket, 0, Left);
recv(_, _) -> {error, timeout}.

received({ok, Data}, Socket, Got, Size, Deadline) -> receive_all(Socket, [Got | Data], Size + length(Data), Deadline);
received({error, closed}, Socket, Got, _, _) -> closed_with(Socket, lists:flatten(Got));
received(_, Socket, _, _, _) -> closed_with(Socket, "").

closed_with(Socket, Reply) ->
    gen_tcp:close(Socket),
    Reply.

of_epmd([$w, 0, A, B, _Type, _Protocol, High1, High2, Low1, Low2 | _]) ->
    version(A * 256 + B, High1 * 256 + High2, Low1 * 256 + Low2);
of_epmd(_) -> noport.

version(Port, High, Low) when High >= ?HANDSHAKE, Low =< ?HANDSHAKE -> {port, Port, ?HANDSHAKE};
version(Port, 5, Low) when Low =< 5 -> {port, Port, 5}; % before OTP 23
version(_, _, _) -> noport.

%% Four bytes, epmd's own port, then a line of each node: name NAME at port PORT.
of_names([_, _, _, _ | Text]) -> [Entry || Line <- string:lexemes(Text, "\n"), Entry <- entry(string:lexemes(Line, " "))];
of_names(_) -> [].

entry(["name", Name, "at", "port", Port]) -> entry(Name, string:to_integer(Port));
entry(_) -> [].

entry(Name, {Port, ""}) when Port > 0, Port < 65536 -> [{Name, Port}];
entry(_, _) -> [].

%% --- looking for a node: among the peers that were named, then among the nodes of this user and host

lookup(Name, Host, Ip) -> of_peer(in_peers(text(Name), Host), Name, Ip).

of_peer({_, Port}, _, _) -> Port;
of_peer(false, Name, Ip) -> first_port(nodes_at({ok, Ip}, text(Name))).

first_port([#{port := Port} | _]) -> Port;
first_port([]) -> noport.

nodes_at({ok, Ip}, Name) ->
    case is_local(Ip) of
        true -> nodes_in(folder(), Name);
        false -> []
    end;
nodes_at(_, _) -> [].

nodes_in({ok, Folder, Uid}, Name) -> [Node || {_, #{} = Node} <- files(Folder, Uid, Name, deadline())];
nodes_in(_, _) -> [].

is_local({127, _, _, _}) -> true;
is_local({0, 0, 0, 0, 0, 0, 0, 1}) -> true;
is_local(Ip) -> is_of(Ip, inet:getifaddrs()).

is_of(Ip, {ok, Interfaces}) -> [] =/= [Ip || {_, Options} <- Interfaces, lists:member({addr, Ip}, Options)];
is_of(_, _) -> false.

address(Ip) when is_tuple(Ip) -> {ok, Ip};
address(Host) ->
    case inet_db:res_option(inet6) of
        true -> inet:getaddr(Host, inet6);
        false -> inet:getaddr(Host, inet)
    end.

text(Atom) when is_atom(Atom) -> atom_to_list(Atom);
text(Ip) when is_tuple(Ip) -> inet:ntoa(Ip);
text(String) -> String.

%% NAME@HOST=PORT, of each -beamrun_peer and of each line of the file of -beamrun_peers, which may change at any time.
in_peers(Name, Host) -> in_peers(Name ++ "@" ++ text(Host)).

in_peers(Node) -> lists:keyfind(Node, 1, peers()).

peers() -> peers(filed_peers(init:get_argument(beamrun_peers))).

peers(Filed) -> peers(Filed, init:get_argument(beamrun_peer)).

peers(Filed, {ok, Given}) -> parsed(lists:append(Given) ++ Filed);
peers(Filed, error) -> parsed(Filed).

filed_peers({ok, [[File] | _]}) -> string:lexemes(read(File, ?MAX_PEERS), "\r\n");
filed_peers(_) -> [].

parsed(Lines) -> [Peer || Line <- Lines, Peer <- peer(string:lexemes(hd(string:split(Line, "#")), "= \t"))].

peer([Node, Port]) -> peer(Node, string:to_integer(Port));
peer(_) -> [].

peer(Node, {Port, ""}) when Port > 0, Port < 65536 -> [{Node, Port}];
peer(_, _) -> [].

%% --- the process: it keeps the node's file for as long as the node has its name

init([]) ->
    process_flag(trap_exit, true),
    {ok, none}.

handle_call({register, Name, Port, Driver}, _From, none) -> registered(Name, line(Name, Port, Driver));
handle_call({register, _, _, _}, _From, State) -> {reply, {error, already_registered}, State}.

registered(Name, Line) ->
    case claim(Name, Line) of
        ok ->
            erlang:send_after(?CHECK, self(), check),
            {reply, {ok, -1}, {Name, Line}}; % -1: net_kernel makes a creation
        Error -> {reply, Error, none}
    end.

handle_cast(_, State) -> {noreply, State}.

%% Whoever empties cache folders takes the file too.
handle_info(check, State) ->
    renew(folder(), State),
    erlang:send_after(?CHECK, self(), check),
    {noreply, State};
handle_info(_, State) -> {noreply, State}.

renew({ok, Folder, _}, {Name, Line}) ->
    case read(own(Folder, Name), ?MAX_LINE) of
        Line -> ok;
        _ -> claim(Name, Line)
    end;
renew(_, _) -> ok. % not now

terminate(_, {Name, _}) -> remove(folder(), Name);
terminate(_, none) -> ok.

remove({ok, Folder, _}, Name) -> prim_file:delete(own(Folder, Name));
remove(_, _) -> ok.

%% --- registration

claim(Name, Line) -> claim(folder(), Name, Line).

claim(Folder, Name, Line) -> claim(Folder, Name, Line, 50, deadline()).

claim(_, _, _, 0, _) -> {error, duplicate_name};
claim({ok, Folder, Uid}, Name, Line, Tries, Deadline) ->
    case others(Folder, Uid, Name, Deadline) of
        [] -> settle(make(own(Folder, Name), Line), Folder, Uid, Name, Line, Tries, Deadline);
        _ -> {error, duplicate_name}
    end;
claim(Error, _, _, _, _) -> Error.

settle(ok, Folder, Uid, Name, Line, Tries, Deadline) ->
    case others(Folder, Uid, Name, Deadline) of
        [] -> ok;
        _ ->
            prim_file:delete(own(Folder, Name)),
            timer:sleep(rand:uniform(20)),
            claim({ok, Folder, Uid}, Name, Line, Tries - 1, Deadline)
    end;
settle(Error, Folder, _, Name, _, _, _) ->
    prim_file:delete(own(Folder, Name)),
    Error.

own(Folder, Name) -> filename:join(Folder, Name ++ "." ++ os:getpid()).

others(Folder, Uid, Name, Deadline) -> [File || {File, _} <- files(Folder, Uid, Name, Deadline), File =/= own(Folder, Name)].

%% The file may be there: of an earlier name of this VM, or of a dead one's.
make(File, Line) ->
    prim_file:delete(File),
    write(file:open(File, [raw, write, exclusive]), Line).

write({ok, Fd}, Line) -> close(Fd, file:write(Fd, Line));
write(Error, _) -> Error.

close(Fd, ok) -> file:close(Fd);
close(Fd, Error) ->
    file:close(Fd),
    Error.

line(Name, Port, Driver) -> line([Name, integer_to_list(Port)], interface(Driver)).

line(Fields, Address) -> string:join(Fields ++ [Address | myself(os:getpid())], " ") ++ "\n".

myself(Pid) -> [Pid | born(Pid, here())].

born(Pid, {Boot, Space}) -> [started(Pid), Boot, Space].

interface(Driver) ->
    case application:get_env(kernel, inet_dist_use_interface) of
        {ok, Ip} when is_tuple(Ip) -> inet:ntoa(Ip);
        _ when Driver =:= inet6_tcp; Driver =:= inet6 -> "::";
        _ -> "0.0.0.0"
    end.

%% The folder, if it and the one around it are this user's alone; they are made if they are missing.
folder() -> folder(init:get_argument(beamrun_nodes)).

folder({ok, [[Folder, "0"] | _]}) -> of_root(Folder, own_uid());
folder({ok, [[Folder, Uid] | _]}) -> folder(Folder, list_to_integer(Uid));
folder({ok, [[Folder] | _]}) -> folder(Folder, -1); % Windows has no such number
folder(_) -> {error, {missing_argument, beamrun_nodes}}.

folder(Folder, Uid) ->
    case is_private(Folder, Uid) of
        false ->
            make_folder(Folder, Uid),
            checked(is_private(Folder, Uid), Folder, Uid);
        true -> checked(true, Folder, Uid)
    end.

%% What root started may have changed its user since (su): then it is that user's folder, which package epmdless finds in the same way.
of_root(Folder, 0) -> folder(Folder, 0);
of_root(Folder, unknown) -> folder(Folder, 0);
of_root(_, Uid) -> usable(own_folders(Uid), Uid).

own_uid() -> own_uid(string:split(read("/proc/self/status", 4096), "\nUid:")).

own_uid([_, Numbers]) -> effective(string:lexemes(Numbers, "\t\n"));
own_uid(_) -> unknown.

effective([_, Uid | _]) -> list_to_integer(Uid);
effective(_) -> unknown.

usable([Folder | Others], Uid) -> usable(folder(Folder, Uid), Others, Uid);
usable([], _) -> {error, {no_folder, beamrun_nodes}}.

usable({ok, _, _} = Found, _, _) -> Found;
usable(Error, [], _) -> Error;
usable(_, Others, Uid) -> usable(Others, Uid).

own_folders(Uid) -> own_folders(Uid, own_name()).

own_folders(Uid, Name) -> own_folders(in_cache(Uid, Name), Uid, Name).

own_folders(InCache, Uid, Name) -> InCache ++ in_temp(Uid, Name).

in_cache(Uid, Name) -> [filename:join([Cache, "beamrun", Name]) || Cache <- cache(os:getenv("XDG_CACHE_HOME", "")), is_ours(Cache, Uid)].

in_temp(Uid, Name) ->
    [filename:join([Temp, "beamrun-" ++ integer_to_list(Uid), Name]) || Temp <- [os:getenv("TMPDIR", ""), "/tmp"], is_safe(filename:split(Temp), Uid)].

cache("") -> [Home ++ "/.cache" || Home <- [os:getenv("HOME", "")], Home =/= ""];
cache(Cache) -> [Cache].

%% It is that user's, or missing in a directory of that user's.
is_ours(Folder, Uid) -> is_ours(file:read_file_info(Folder, [raw]), Folder, Uid).

is_ours({error, enoent}, Folder, Uid) -> is_own(file:read_file_info(filename:dirname(Folder), [raw]), filename:dirname(Folder), Uid);
is_ours(Info, Folder, Uid) -> is_own(Info, Folder, Uid).

is_own({ok, #file_info{type = directory, uid = Uid}}, Folder, Uid) -> is_safe(filename:split(Folder), Uid);
is_own(_, _, _) -> false.

own_name() -> own_name(string:trim(read("/proc/sys/kernel/hostname", ?MAX_LINE), trailing, "\n")).

own_name(Host) -> own_name(Host, prim_file:read_link("/proc/self/ns/net")).

own_name(Host, Space) -> "nodes-" ++ [plain(C) || C <- Host] ++ "-" ++ number(Space).

plain(C) ->
    case lists:member(C, "/\\:<>\"|?*") of
        true -> $_;
        false -> C
    end.

number({ok, "net:[" ++ Number}) -> string:trim(Number, trailing, "]");
number(_) -> "".

checked(true, Folder, Uid) -> {ok, Folder, Uid};
checked(false, Folder, _) -> {error, {not_private, Folder}}.

is_private(Folder, Uid) ->
    is_private_itself(filename:dirname(Folder), Uid) andalso is_private_itself(Folder, Uid) andalso is_safe(filename:split(Folder), Uid).

is_private_itself(Folder, Uid) ->
    case file:read_link_info(Folder, [raw]) of
        {ok, #file_info{type = directory, uid = Uid, mode = Mode}} -> Mode band 8#077 =:= 0;
        {ok, #file_info{type = directory}} -> Uid < 0;
        _ -> false
    end.

%% Nobody but that user and root can change what the path leads to. Links are followed one by one, for what they lead to counts too.
is_safe(_, Uid) when Uid < 0 -> true;
is_safe(["/" | Names], Uid) -> step(file:read_link_info("/", [raw]), "/", "/", Names, Uid, ?MAX_LINKS);
is_safe(_, _) -> false.

walk(_, [], _, _) -> true;
walk(At, [".." | Names], Uid, Links) -> walk(filename:dirname(At), Names, Uid, Links);
walk(At, ["." | Names], Uid, Links) -> walk(At, Names, Uid, Links);
walk(At, [Name | Names], Uid, Links) -> step_to(filename:join(At, Name), At, Names, Uid, Links).

step_to(Path, At, Names, Uid, Links) -> step(file:read_link_info(Path, [raw]), Path, At, Names, Uid, Links).

step({ok, #file_info{type = directory, uid = Owner, mode = Mode}}, Path, _, Names, Uid, Links)
  when Mode band 8#022 =:= 0; Mode band 8#1000 =/= 0 ->
    is_trusted(Owner, Path, Uid) andalso walk(Path, Names, Uid, Links);
step({ok, #file_info{type = symlink, uid = Owner}}, Path, At, Names, Uid, Links) when Links > 0 ->
    is_trusted(Owner, Path, Uid) andalso follow(prim_file:read_link(Path), At, Names, Uid, Links - 1);
step(_, _, _, _, _, _) -> false.

follow({ok, [_ | _] = To}, At, Names, Uid, Links) -> follow_to(filename:split(To), At, Names, Uid, Links);
follow(_, _, _, _, _) -> false.

follow_to(["/" | To], _, Names, Uid, Links) -> walk("/", To ++ Names, Uid, Links);
follow_to(To, At, Names, Uid, Links) -> walk(At, To ++ Names, Uid, Links).

%% An owner that this user namespace does not map, 65534, is taken for root of / and of what is in it: nobody else can have made that.
is_trusted(0, _, _) -> true;
is_trusted(Uid, _, Uid) -> true;
is_trusted(Owner, Path, _) -> is_roots(filename:split(Path), Owner).

is_roots([_ | Below], Owner) when length(Below) < 2 -> is_unmapped(string:trim(read("/proc/sys/kernel/overflowuid", ?MAX_LINE)), Owner);
is_roots(_, _) -> false.

is_unmapped(Overflow, Owner) ->
    integer_to_list(Owner) =:= Overflow andalso is_apart(string:lexemes(read("/proc/self/uid_map", ?MAX_LINE), " \n")).

is_apart(["0", "0", "4294967295"]) -> false;
is_apart(Map) -> Map =/= [].

%% What is missing of the way is made, one by one, where the way to it is safe.
make_folder(Folder, Uid) -> make_folder(filename:dirname(Folder), Folder, Uid).

make_folder(Around, Folder, Uid) ->
    make_missing(file:read_link_info(Around, [raw]), Around, Uid),
    make_in(Around, Folder, Uid).

make_in(Around, Folder, Uid) -> make_if(is_safe(filename:split(Around), Uid), Folder).

make_if(true, Folder) -> make_dir(Folder);
make_if(false, _) -> unsafe.

make_missing({error, enoent}, Folder, Uid) -> make_folder(Folder, Uid);
make_missing(_, _, _) -> ok.

make_dir(Folder) ->
    case prim_file:make_dir(Folder) of
        ok -> file:write_file_info(Folder, #file_info{mode = 8#700}, [raw]);
        Error -> Error
    end.

%% --- the files

%% The registrations of a name, or of any: {File, Node}, or {File, unfinished}. Those of the dead are removed.
files(Folder, Uid, Name, Deadline) -> files(prim_file:list_dir(Folder), Folder, Uid, Name, Deadline).

files({ok, Entries}, Folder, Uid, Name, Deadline) ->
    [Found || Entry <- first(of_name(Entries, Name), Folder),
              Found <- file(filename:join(Folder, Entry), Uid, string:split(Entry, "."), Deadline)];
files(_, _, _, _, _) -> [].

of_name(Entries, any) -> Entries;
of_name(Entries, Name) -> beginning(Entries, Name ++ ".").

beginning(Entries, Begin) -> [Entry || Entry <- Entries, lists:prefix(Begin, Entry)].

first(Entries, Folder) -> first(length(Entries), Entries, Folder).

first(Count, Entries, _) when Count =< ?MAX_ENTRIES -> Entries;
first(_, Entries, Folder) ->
    error_logger:warning_msg("~ts has more than ~w entries: the rest was not looked at~n", [Folder, ?MAX_ENTRIES]),
    lists:sublist(Entries, ?MAX_ENTRIES).

file(File, Uid, [Name, Pid], Deadline) -> kept(File, judge(File, Uid, Name, Pid, Deadline));
file(_, _, _, _) -> [].

kept(_, strange) -> [];
kept(_, gone) -> []; % it is not deleted: its name may be a new file's by now
kept(File, dead) ->
    prim_file:delete(File),
    [];
kept(File, Node) -> [{File, Node}].

%% There is no O_NOFOLLOW here. So a file that is no ordinary one of that user's is not opened, and what was opened is looked at again.
judge(File, Uid, Name, Pid, Deadline) ->
    judge(file:read_link_info(File, [raw, {time, posix}]), File, Uid, Name, Pid, Deadline).

judge({ok, #file_info{type = regular, uid = Owner, mtime = Time}}, File, Uid, Name, Pid, Deadline) when Owner =:= Uid; Uid < 0 ->
    judged(text_of(file:open(File, [raw, read]), Uid), Name, Pid, Time, Deadline);
judge({error, enoent}, _, _, _, _, _) -> gone;
judge(_, _, _, _, _, _) -> strange.

judged({ok, Text}, Name, Pid, Time, Deadline) when length(Text) =< ?MAX_LINE -> of_file(parse(string:split(Text, " ", all)), Name, Pid, Time, Deadline);
judged({ok, _}, _, _, Time, _) -> young(os:system_time(second) - Time);
judged(Verdict, _, _, _, _) -> Verdict.

of_file(#{name := Name, pid := Pid} = Node, Name, Pid, _, Deadline) -> living(Node, is_alive(Node, Deadline));
of_file(_, _, _, Time, _) -> young(os:system_time(second) - Time).

text_of({ok, Fd}, Uid) when Uid < 0 -> {ok, closed(Fd, file:read(Fd, ?MAX_LINE + 1))}; % Windows
text_of({ok, Fd}, Uid) -> text_of(file:read_file_info(Fd, [raw]), Fd, Uid);
text_of({error, enoent}, _) -> gone;
text_of(_, _) -> strange.

text_of({ok, #file_info{type = regular, uid = Uid}}, Fd, Uid) -> {ok, closed(Fd, file:read(Fd, ?MAX_LINE + 1))};
text_of(_, Fd, _) ->
    file:close(Fd),
    strange.

living(Node, true) -> Node;
living(_, false) -> dead.

young(Age) when abs(Age) < ?UNFINISHED -> unfinished;
young(_) -> dead.

parse([Name, Port, Address, Pid, Started, Boot, Space]) -> parse(is_plain(Name, Address), Name, Port, Address, Pid, Started, Boot, Space);
parse(_) -> none.

parse(true, Name, Port, Address, Pid, Started, Boot, Space) ->
    node_of(Name, string:to_integer(Port), inet:parse_strict_address(Address), Pid, Started, Boot, string:split(Space, "\n"));
parse(false, _, _, _, _, _, _, _) -> none.

node_of(Name, {Port, ""}, {ok, Ip}, Pid, Started, Boot, [Space, ""]) when Port > 0, Port < 65536 ->
    #{name => Name, port => Port, address => Ip, pid => Pid, started => Started, boot => Boot, space => Space};
node_of(_, _, _, _, _, _, _) -> none.

%% No interface is meant, as in fe80::1%lo; and the name is one that net_kernel takes.
is_plain(Name, Address) -> is_name(Name) andalso not lists:member($%, Address).

is_name(Name) -> Name =/= "" andalso length(Name) =< 255 andalso [] =:= [C || C <- Name, not is_of_name(C)].

is_of_name(C) -> C >= $a andalso C =< $z orelse C >= $A andalso C =< $Z orelse C >= $0 andalso C =< $9 orelse C =:= $_ orelse C =:= $-.

is_alive(#{boot := Boot, space := Space} = Node, Deadline) ->
    case here() of
        {Boot, Space} when Boot =/= "-" -> is_running(Node);
        {Other, _} when Other =/= "-", Boot =/= "-", Other =/= Boot -> false; % before the host started anew
        _ -> listens(Node, Deadline - now_ms())
    end.

is_running(#{started := "-"}) -> false;
is_running(#{pid := Pid, started := Started}) -> started(Pid) =:= Started.

deadline() -> now_ms() + ?BUDGET.

now_ms() -> erlang:monotonic_time(millisecond).

%% Who was not asked in time has not ended. A node on an address that is none of this host can't be one of its nodes.
listens(_, Left) when Left =< 0 -> true;
listens(#{address := Address, port := Port}, Left) -> listens(dialable(Address), Port, min(Left, ?PATIENCE)).

listens(Ip, Port, Timeout) -> is_local(Ip) andalso accepts(gen_tcp:connect(Ip, Port, [], Timeout)).

accepts({ok, Socket}) -> gen_tcp:close(Socket) =:= ok;
accepts({error, Reason}) -> Reason =/= econnrefused.

dialable({0, 0, 0, 0}) -> {127, 0, 0, 1};
dialable({0, 0, 0, 0, 0, 0, 0, 0}) -> {0, 0, 0, 0, 0, 0, 0, 1};
dialable({0, 0, 0, 0, 0, 16#ffff, A, B}) -> dialable({A bsr 8, A band 255, B bsr 8, B band 255}); % IPv4 in IPv6
dialable(Address) -> Address.

%% Which start of which kernel this is, and in which namespace its pids mean something. "-" where nobody tells: not on Linux, or
%% where /proc is that of another namespace.
here() -> here(os:getpid()).

here(Pid) ->
    case prim_file:read_link("/proc/self") of
        {ok, Pid} -> space(string:trim(read("/proc/sys/kernel/random/boot_id", ?MAX_LINE)));
        _ -> {"-", "-"}
    end.

space("") -> {"-", "-"};
space(Boot) ->
    case prim_file:read_link("/proc/self/ns/pid") of
        {ok, Space} -> {Boot, Space};
        _ -> {"-", "-"}
    end.

%% When a process was started, in ticks since the kernel was: the 22nd field of proc(5)'s stat. "-" if it has ended, also if its
%% parent does not know yet.
started(Pid) ->
    case string:split(read("/proc/" ++ Pid ++ "/stat", 4096), ")", trailing) of
        [_, Fields] -> started_field(string:lexemes(Fields, " "));
        _ -> "-"
    end.

started_field([State | Fields]) when State =/= "Z", State =/= "X", length(Fields) > 18 -> lists:nth(19, Fields);
started_field(_) -> "-".

%% The text of a file, "" if there is none or it is no ordinary one (a pipe would keep us waiting) or too long.
read(File, Max) ->
    case file:read_file_info(File, [raw]) of
        {ok, #file_info{type = regular, size = Size}} when Size =< Max -> read_open(file:open(File, [raw, read]), Max);
        _ -> ""
    end.

read_open({ok, Fd}, Max) -> closed(Fd, file:read(Fd, Max));
read_open(_, _) -> "".

closed(Fd, {ok, Text}) ->
    file:close(Fd),
    Text;
closed(Fd, _) ->
    file:close(Fd),
    "".
