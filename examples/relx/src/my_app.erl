-module(my_app).
-behaviour(application).
-behaviour(supervisor).

-export([start/2, stop/1, init/1]).

start(_Type, _Args) -> supervisor:start_link(?MODULE, []).

stop(_State) -> ok.

init([]) ->
    Counter = #{id => counter, start => {my_app_counter, start_link, []}},
    {ok, {#{strategy => one_for_one}, [Counter]}}.
