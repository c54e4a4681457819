defmodule ProjectTest do
  use ExUnit.Case

  test "two nodes" do
    paths = Enum.flat_map(:code.get_path(), &[~c"-pa", &1])
    {node, stop} = start_node(paths)
    assert Project.hello_from(node) == {:hello, node}
    stop.()
  end

  # :peer is in OTP 25 and later
  if Code.ensure_loaded?(:peer) do
    defp start_node(paths) do
      {:ok, peer, node} = :peer.start_link(%{name: :peer, host: ~c"localhost", args: paths})
      {node, fn -> :peer.stop(peer) end}
    end
  else
    defp start_node(paths) do
      {:ok, node} = :slave.start_link(~c"localhost", :peer, :lists.join(~c" ", paths) |> :lists.flatten())
      {node, fn -> :slave.stop(node) end}
    end
  end
end
