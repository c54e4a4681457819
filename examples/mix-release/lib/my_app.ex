defmodule MyApp do
  use Application

  @impl true
  def start(_type, _args) do
    children = [%{id: Agent, start: {Agent, :start_link, [fn -> 41 end, [name: MyApp.Counter]]}}]
    Supervisor.start_link(children, strategy: :one_for_one)
  end

  def next, do: Agent.get_and_update(MyApp.Counter, &{&1 + 1, &1 + 1})
end
