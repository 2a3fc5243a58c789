/* What every driver's source begins with: the words of structured exception handling are errors, because the compiler for drivers accepts them and
 * drops the handler without a word. */
#define __try _Pragma("GCC error \"kdpc cannot compile __try: this compiler would drop the handler; leave the code out with #ifndef KDPC_DRIVER\"")
#define __except _Pragma("GCC error \"kdpc cannot compile __except: this compiler would drop the handler; leave the code out with #ifndef KDPC_DRIVER\"")
#define __finally _Pragma("GCC error \"kdpc cannot compile __finally: this compiler would drop the handler; leave the code out with #ifndef KDPC_DRIVER\"")
#define __leave _Pragma("GCC error \"kdpc cannot compile __leave: this compiler would drop the handler; leave the code out with #ifndef KDPC_DRIVER\"")
#ifndef __cplusplus /* the WDK's macros for the same; in C++ they are words of the language */
#define try _Pragma("GCC error \"kdpc cannot compile try: this compiler would drop the handler; leave the code out with #ifndef KDPC_DRIVER\"")
#define except _Pragma("GCC error \"kdpc cannot compile except: this compiler would drop the handler; leave the code out with #ifndef KDPC_DRIVER\"")
#define finally _Pragma("GCC error \"kdpc cannot compile finally: this compiler would drop the handler; leave the code out with #ifndef KDPC_DRIVER\"")
#endif
