-module(my_app_counter).
-behaviour(gen_server).

-export([start_link/0, next/0]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, 41, []).

next() -> gen_server:call(?MODULE, next).

init(N) -> {ok, N}.

handle_call(next, _From, N) -> {reply, N + 1, N + 1}.

handle_cast(_, N) -> {noreply, N}.
