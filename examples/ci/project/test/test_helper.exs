# ExUnit's node has no name: it needs epmd to get one.
{:ok, _} = Node.start(:"project_test@localhost", :shortnames)
ExUnit.start()
