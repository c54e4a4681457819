defmodule Project do
  def hello_from(node), do: :erpc.call(node, fn -> {:hello, node()} end)
end
