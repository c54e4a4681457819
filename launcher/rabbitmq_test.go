package launcher

import (
	"strings"
	"testing"
)

// RabbitMQ's server asks OTP's own client of epmd for its port. .ci/peers shows that it boots.
func TestRabbitMQ(t *testing.T) {
	privateHome(t)
	for _, tt := range []struct{ program, erts, env, want string }{
		{"rabbitmq-server", "erts-13.0", "A=1", " -erl_epmd_port 25672 -epmd_module "},
		{"/usr/sbin/rabbitmq-server", "erts-15.2", "A=1", " -kernel erl_epmd_node_listen_port 25672 -kernel epmd_module "},
		{"rabbitmq-server", "erts-13.0", "RABBITMQ_DIST_PORT=9100", " -erl_epmd_port 9100 "},
		{"rabbitmq-server", "erts-13.0", "RABBITMQ_NODE_PORT=5673", " -erl_epmd_port 25673 "},
		{"rabbitmq-server", "erts-13.0", "RABBITMQ_NODE_PORT=50000", " -erl_epmd_port 25672 "},
		{"rabbitmq-server", "erts-13.0", "RABBITMQ_DIST_PORT=1 -s x", " -erl_epmd_port 25672 "},
		{"rabbitmq-server", "erts-13.0", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-erl_epmd_port 1", ""},
		{"rabbitmq-server", "erts-15.2", "RABBITMQ_SERVER_ERL_ARGS=-kernel erl_epmd_node_listen_port 1", ""},
		{"rabbitmqctl", "erts-13.0", "RABBITMQ_DIST_PORT=9100", ""},
	} {
		install(t, tt.erts)
		flags := value(environ(t, Config{Program: tt.program, Env: []string{tt.env}, Epmdless: true}), "ERL_ZFLAGS")
		if !strings.Contains(flags, tt.want) || tt.want == "" && strings.Contains(flags, "erl_epmd_") {
			t.Errorf("%+v: %q", tt, flags)
		}
	}
}
