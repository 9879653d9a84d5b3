/* The fault simulator alone, for development and for sanitizer builds: the same flags as
 * `lq sim faults`. */
#include "sim/faults.h"

int main(int argc, char **argv)
{
    return sim_faults_main(argc - 1, argv + 1);
}
