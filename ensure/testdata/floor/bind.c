// The least that starting an epmd can take: fork, exec, and connect every 50 µs until it has bound its port and listens.
// usage: bind EPMD PORT
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (argc != 3)
		return 2;
	to.sin_port = htons(atoi(argv[2]));
	if (vfork() == 0) {
		execl(argv[1], argv[1], "-port", argv[2], (char *)0);
		_exit(127);
	}
	for (int tries = 0; tries < 100000; tries++, usleep(50)) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
			return 0;
		close(fd);
	}
	return 1;
}
