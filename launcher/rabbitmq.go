package launcher

import (
	"path/filepath"
	"strings"

	"github.com/beamrun/beamrun/internal/parse"
)

// rabbitMQPort returns the port of RabbitMQ's server for nodes, or 0 if program is another one, or
// is told it already. When the server boots it asks OTP's own client of epmd for that port, not the
// module (rabbit_networking:maybe_get_epmd_port), and ends where it gets none. With -erl_epmd_port
// that client returns it. The module asks that client for nodes of other hosts that it finds nowhere,
// so those are tried on the same port.
func rabbitMQPort(program string, env []string) int {
	told := value(env, "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS") + value(env, "RABBITMQ_SERVER_ERL_ARGS")
	if filepath.Base(program) != "rabbitmq-server" || strings.Contains(told, "erl_epmd_") {
		return 0 // given twice, OTP takes neither
	}
	if port, err := parse.Port(value(env, "RABBITMQ_DIST_PORT")); err == nil {
		return int(port)
	}
	const above = 20000 // RabbitMQ's port for clients, as rabbitmq-env.conf(5) has it
	if port, err := parse.Port(value(env, "RABBITMQ_NODE_PORT")); err == nil && port <= 65535-above {
		return int(port) + above
	}
	return 5672 + above
}
