defmodule Project.MixProject do
  use Mix.Project

  def project do
    [app: :project, version: "0.1.0"]
  end
end
