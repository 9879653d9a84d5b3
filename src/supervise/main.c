/* The supervisor as a program of its own: small, and static where the libraries allow it. */
#include "supervise/supervise.h"

int main(int argc, char **argv)
{
    return supervise_main(argc, argv);
}
