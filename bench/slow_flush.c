/* A disk whose flush takes longer: preloaded into Postgres, it delays fdatasync by as many milliseconds as the file that
   SLOW_FLUSH names has bytes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int fd)
{
    static int (*flush)(int);
    const char *name = getenv("SLOW_FLUSH");
    struct stat slow;

    if (!flush)
        flush = dlsym(RTLD_NEXT, "fdatasync");
    if (name && stat(name, &slow) == 0 && slow.st_size) {
        const struct timespec longer = {slow.st_size / 1000, slow.st_size % 1000 * 1000000};
        nanosleep(&longer, NULL);
    }
    return flush(fd);
}
