// Package epmdtest helps tests of programs that use epmd, the Erlang Port Mapper Daemon, as
// net/http/httptest helps those of HTTP.
//
// [New] and [Listen] start an epmd in pure Go inside the test, on every operating system and
// without Erlang. It speaks the whole protocol as OTP's own does, so that erl, epmd -names and
// every other client may be pointed at it, and it can be told to misbehave (see [Fault]):
//
//	func TestFindsTheNode(t *testing.T) {
//		server := epmdtest.New(t)
//		server.Register("alice", 40001)
//		// the code to test; here the client of this module
//		info, err := epmd.Lookup(t.Context(), server.Addr(), "alice")
//		if err != nil || info.Port != 40001 {
//			t.Errorf("%+v, %v", info, err)
//		}
//	}
//
// A program that the test starts finds it by ERL_EPMD_PORT in its environment, set to
// [Server.Port].
//
// The protocol is OTP's, chapter "Distribution Protocol" of the ERTS User's Guide
// (https://www.erlang.org/doc/apps/erts/erl_dist_protocol.html); where the real epmd says more than
// that chapter, or something else, the real one is followed.
package epmdtest
