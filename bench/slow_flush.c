/* A disk whose flush takes 2 ms longer: preloaded into Postgres, it delays fdatasync while the file that SLOW_FLUSH
   names is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int fd)
{
    static int (*flush)(int);
    const struct timespec longer = {0, 2000000};
    const char *flag = getenv("SLOW_FLUSH");

    if (!flush)
        flush = dlsym(RTLD_NEXT, "fdatasync");
    if (flag && access(flag, F_OK) == 0)
        nanosleep(&longer, NULL);
    return flush(fd);
}
