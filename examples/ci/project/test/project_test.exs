defmodule ProjectTest do
  use ExUnit.Case

  # :peer is in OTP 25 and later
  test "two nodes" do
    paths = Enum.flat_map(:code.get_path(), &[~c"-pa", &1])
    {:ok, peer, node} = :peer.start_link(%{name: :peer, host: ~c"localhost", args: paths})
    assert Project.hello_from(node) == {:hello, node}
    :peer.stop(peer)
  end
end
