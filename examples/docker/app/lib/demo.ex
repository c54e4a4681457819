defmodule Demo do
  @moduledoc "Connects to the nodes in PEERS, again and again, and tells who comes and goes."
  use Application
  use GenServer

  @impl Application
  def start(_type, _args), do: Supervisor.start_link([__MODULE__], strategy: :one_for_one)

  @impl Application
  def stop(_state), do: IO.puts("#{node()} stopped")

  def start_link(_), do: GenServer.start_link(__MODULE__, nil)

  @impl GenServer
  def init(_) do
    :net_kernel.monitor_nodes(true)
    for peer <- Node.list(), do: send(self(), {:nodeup, peer}) # those that were faster
    peers = for name <- String.split(System.get_env("PEERS", "")), do: String.to_atom(name)
    {:ok, peers, {:continue, :connect}}
  end

  @impl GenServer
  def handle_continue(:connect, peers) do
    Enum.each(peers, &Node.connect/1)
    Process.send_after(self(), :connect, 1000)
    {:noreply, peers}
  end

  @impl GenServer
  def handle_info(:connect, peers), do: {:noreply, peers, {:continue, :connect}}

  def handle_info({change, peer}, peers) do
    IO.puts("#{node()} #{change} #{peer}")
    {:noreply, peers}
  end
end
