/* GUIDs. DEFINE_GUID declares; in the one file that includes initguid.h first (or defines INITGUID) it defines. */
#ifndef _WDK_GUIDDEF_H
#define _WDK_GUIDDEF_H

typedef struct _GUID {
#if __SIZEOF_LONG__ == 4
  unsigned long Data1;
#else
  unsigned int Data1;
#endif
  unsigned short Data2;
  unsigned short Data3;
  unsigned char Data4[8];
} GUID, *LPGUID;
typedef const GUID *LPCGUID;

#ifdef __cplusplus
#define WDK_GUID_LINKAGE extern "C"
#define REFGUID const GUID &
#define IsEqualGUID(a, b) (!__builtin_memcmp(&(a), &(b), sizeof(GUID)))
#else
#define WDK_GUID_LINKAGE extern
#define REFGUID const GUID *
#define IsEqualGUID(a, b) (!__builtin_memcmp((a), (b), sizeof(GUID)))
#endif

#endif

#undef DEFINE_GUID
#ifdef INITGUID
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) \
  WDK_GUID_LINKAGE const GUID name;                                  \
  __attribute__((weak)) const GUID name = {l, w1, w2, {b1, b2, b3, b4, b5, b6, b7, b8}}
#else
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) WDK_GUID_LINKAGE const GUID name
#endif
