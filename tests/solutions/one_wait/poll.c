/* poll(2) over a table of clients; each has a buffer of its own, and is read from when the buffer is empty. */
/* passes */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 256, SIZE = 65536 };

struct client { char data[SIZE]; size_t begin, end; };

static struct pollfd waits[MOST];
static struct client *clients[MOST];
static int count = 1;

static void add(int fd)
{
    if (count == MOST) {
        close(fd);
        return;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    waits[count] = (struct pollfd){ .fd = fd, .events = POLLIN };
    clients[count] = calloc(1, sizeof *clients[count]);
    count++;
}

/* Returns whether the client stays. */
static int serve(int i)
{
    struct client *client = clients[i];
    if (client->begin == client->end) {
        ssize_t got = recv(waits[i].fd, client->data, SIZE, 0);
        if (got <= 0)
            return got < 0 && errno == EAGAIN;
        client->begin = 0;
        client->end = (size_t)got;
    }
    ssize_t sent = send(waits[i].fd, client->data + client->begin, client->end - client->begin, 0);
    if (sent < 0 && errno != EAGAIN)
        return 0;
    client->begin += sent > 0 ? (size_t)sent : 0;
    waits[i].events = client->begin == client->end ? POLLIN : POLLOUT;
    return 1;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--host"))
            inet_pton(AF_INET, argv[i + 1], &address.sin_addr);
        else if (!strcmp(argv[i], "--port"))
            address.sin_port = htons((unsigned short)atoi(argv[i + 1]));
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128))
        return 1;
    waits[0] = (struct pollfd){ .fd = listener, .events = POLLIN };
    for (;;) {
        poll(waits, (nfds_t)count, -1);
        for (int i = count - 1; i > 0; i--) {
            if (waits[i].revents && !serve(i)) {
                close(waits[i].fd);
                free(clients[i]);
                count--;
                waits[i] = waits[count];
                clients[i] = clients[count];
            }
        }
        if (waits[0].revents) {
            int fd = accept(listener, 0, 0);
            if (fd >= 0)
                add(fd);
        }
    }
}
