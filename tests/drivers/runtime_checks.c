// Exercises the runtime every driver is linked with. DriverEntry returns the number of the first check that fails, or 0.
typedef unsigned long long size_type;
void* memcpy(void*, const void*, size_type);
void* memmove(void*, const void*, size_type);
void* memset(void*, int, size_type);
int memcmp(const void*, const void*, size_type);
size_type strlen(const char*);
void* memchr(const void*, int, size_type);
size_type strnlen(const char*, size_type);
int _stricmp(const char*, const char*);
int _strnicmp(const char*, const char*, size_type);
char* strcpy(char*, const char*);
char* strncpy(char*, const char*, size_type);
char* strcat(char*, const char*);
char* strncat(char*, const char*, size_type);
char* strchr(const char*, int);
char* strrchr(const char*, int);
char* strstr(const char*, const char*);
int wcscmp(const unsigned short*, const unsigned short*);
int wcsncmp(const unsigned short*, const unsigned short*, size_type);
int _wcsicmp(const unsigned short*, const unsigned short*);
unsigned short* wcsstr(const unsigned short*, const unsigned short*);
int strcmp(const char*, const char*);
int strncmp(const char*, const char*, size_type);
size_type wcslen(const unsigned short*);

struct large {
  char bytes[300];
};

// Two pages and a bit: the compiler asks ___chkstk_ms to touch them in order.
__declspec(noinline) static int sum_of_a_large_frame(int a, int b, int c, int d, int e, int f) {
  volatile char frame[9000];
  frame[0] = (char)a, frame[8999] = (char)f;
  return frame[0] + b + c + d + e + frame[8999];
}

__declspec(noinline) static struct large copy(const struct large* from) {  // a copy the compiler makes through memcpy
  struct large result = *from;
  return result;
}

static int loops(volatile int* turns) {
  int count = 0;
  while (*turns > 0) {
    --*turns;
    ++count;
  }
  return count;
}

long DriverEntry(void* turns, void* unused) {
  (void)unused;
  char text[16] = "abcdefgh";
  struct large one, other;

  if (sizeof(long) != 4 || sizeof(L' ') != 2) return 1;
  if (sum_of_a_large_frame(1, 2, 3, 4, 5, 6) != 21) return 2;
  memset(&one, 7, sizeof one);
  other = copy(&one);
  if (memcmp(&one, &other, sizeof one) != 0 || other.bytes[299] != 7) return 3;
  other.bytes[299] = 8;
  if (memcmp(&one, &other, sizeof one) >= 0 || memcmp(&other, &one, sizeof one) <= 0) return 4;
  if (memmove(text + 2, text, 6) != text + 2 || strcmp(text, "ababcdef") != 0) return 5;
  if (memmove(text, text + 2, 6) != text || strcmp(text, "abcdefef") != 0) return 6;
  if (strlen(text) != 8 || wcslen(L"four") != 4) return 7;
  if (strcmp("a", "b") >= 0 || strcmp("b", "a") <= 0 || strcmp("\xff", "a") <= 0) return 8;
  if (strncmp("abX", "abY", 2) != 0 || strncmp("ab", "ab", 9) != 0 || strncmp("abX", "abY", 3) >= 0) return 9;
  if (turns && loops(turns) != 1000) return 10;
  if (_stricmp("DriverS", "dRIVERs") != 0 || _strnicmp("ABx", "aby", 2) != 0 || _stricmp("a", "B") >= 0) return 11;
  if (strcmp(strcat(strcpy(text, "ab"), "cd"), "abcd") != 0 || strcmp(strncat(text, "efgh", 2), "abcdef") != 0) return 12;
  if (strncpy(text, "x", 4) != text || text[1] != 0 || text[3] != 0 || text[4] != 'e') return 13;
  if (strchr("a.b.c", '.')[1] != 'b' || strrchr("a.b.c", '.')[1] != 'c' || strchr("abc", 0)[-1] != 'c' || strchr("abc", 'd')) return 14;
  if (strstr("haystack", "st")[2] != 'a' || strstr("haystack", "needle") || strnlen("abc", 2) != 2) return 15;
  if (wcscmp(L"ab", L"ac") >= 0 || wcsncmp(L"ab", L"ac", 1) != 0 || _wcsicmp(L"Ab", L"aB") != 0 || wcsstr(L"abc", L"bc")[1] != L'c') return 16;
  if (memchr("abc", 'b', 3) == 0 || memchr("abc", 'c', 2) != 0) return 17;
  return 0;
}
