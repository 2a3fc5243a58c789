/* See string.h. */
#include "string.h"
