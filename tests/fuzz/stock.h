// The objects a case plays with, by kind and state, and bad addresses of every sort.
//
// A driver's own objects lie in its data: cells of one page with a page without access behind, so that who writes past an object faults at once
// and does not trample others. What is drawn as a wild pointer is an address that faults, a freed block that nobody else gets, read-only memory of
// this program, or a dead part of a stack: a wild write into memory that is somebody's cannot be caught here or on Windows.
#pragma once
#include <wdm.h>

#include <cstdint>

#include "tests/fuzz/random.h"

namespace kdpc::fuzz {

enum class Kind : std::uint8_t {
  Bytes,
  Dpc,
  Timer,
  Event,
  Semaphore,
  Mutex,
  Words,
  SpinLock,
  ReaderWriterLock,
  PushLock,
  LockHandle,
  Integers,
  Rundown,
  CacheAware,
  Apc,
  FastMutex,
  Resource,
  WorkItem,
  IoWorkItem,
  ErrorLogEntry,
  Lookaside,
  PagedLookaside,
  LookasideEx,
  SListHead,
  SListEntry,
  ListEntry,
  SingleEntry,
  Thread,
  Interrupt,
  ExTimer,
  Driver,
  Device,
  File,
  Irp,
  Mdl,
  RemoveLock,
  DeviceQueue,
  QueueEntry,
  UnicodeString,
  AnsiString,
  WideText,
  Text,
  Bitmap,
  Handle,
  Block,
  Register,
  Process,
  ObjectType,
  ExtendedState,
  Count
};

enum class State : std::uint8_t { Good, Fresh, Garbage, Freed };

inline constexpr std::uintptr_t kDriverData = 0x480000000000;
inline constexpr unsigned kCells = 512;
inline constexpr std::size_t kCellPitch = 2 * 4096;

class Stock {
 public:
  // Once per process: the driver's data.
  static bool map();
  // Before each case.
  void begin(std::uint64_t seed);

  // Zeroed memory of the driver's, at the end of a cell, or `slack` bytes before; the oldest is given again when there is no more.
  void* cell(std::size_t size, std::size_t slack = 0);
  void add(Kind kind, State state, void* address);
  // An object of the kind in the state; null: there is none.
  void* find(Kind kind, State state = State::Good);
  // What a driver would pass, or something worse.
  void* pointer(Kind kind);
  // Any of these, or a number, a text, null.
  void* anything();
  void* bad_address();
  void fill(void* memory, std::size_t size);

  std::uint64_t integer(unsigned bytes);
  std::int64_t due_time();

  Random random;
  unsigned wildness = 100;          // of this case, in percent: how much of what could be wrong with an argument is
  Kind wanted_void = Kind::Count;   // what a void pointer of the routine under way means; Count: anything
  Kind wanted_word = Kind::Words;   // and a pointer to a word: locks of several kinds are words
  std::uintptr_t stack_buffer = 0;  // a dead part of the caller's

 private:
  struct Item {
    Kind kind;
    State state;
    void* address;
  };
  static constexpr unsigned kMostItems = 1024;
  Item items_[kMostItems];
  unsigned item_count_ = 0;
  unsigned next_cell_ = 0;
};

// Makes one or more objects of every kind, some of them in use. In a thread at Passive, once per case.
void furnish(Stock& stock);

template <class T>
inline constexpr Kind kind_of = Kind::Bytes;
#define KIND(type, kind) \
  template <>            \
  inline constexpr Kind kind_of<type> = Kind::kind;
KIND(KDPC, Dpc)
KIND(KTIMER, Timer)
KIND(KEVENT, Event)
KIND(KSEMAPHORE, Semaphore)
KIND(KMUTANT, Mutex)
KIND(ULONG_PTR, Words)
KIND(KLOCK_QUEUE_HANDLE, LockHandle)
KIND(LONG, Integers)
KIND(ULONG, Integers)
KIND(EX_RUNDOWN_REF, Rundown)
KIND(struct _EX_RUNDOWN_REF_CACHE_AWARE, CacheAware)
KIND(KAPC, Apc)
KIND(FAST_MUTEX, FastMutex)
KIND(ERESOURCE, Resource)
KIND(WORK_QUEUE_ITEM, WorkItem)
KIND(struct _IO_WORKITEM, IoWorkItem)
KIND(NPAGED_LOOKASIDE_LIST, Lookaside)
KIND(PAGED_LOOKASIDE_LIST, PagedLookaside)
KIND(LOOKASIDE_LIST_EX, LookasideEx)
KIND(SLIST_HEADER, SListHead)
KIND(SLIST_ENTRY, SListEntry)
KIND(LIST_ENTRY, ListEntry)
KIND(SINGLE_LIST_ENTRY, SingleEntry)
KIND(struct _KTHREAD, Thread)
KIND(struct _ETHREAD, Thread)
KIND(struct _KINTERRUPT, Interrupt)
KIND(struct _EX_TIMER, ExTimer)
KIND(DRIVER_OBJECT, Driver)
KIND(DEVICE_OBJECT, Device)
KIND(FILE_OBJECT, File)
KIND(IRP, Irp)
KIND(MDL, Mdl)
KIND(IO_REMOVE_LOCK, RemoveLock)
KIND(KDEVICE_QUEUE, DeviceQueue)
KIND(KDEVICE_QUEUE_ENTRY, QueueEntry)
KIND(UNICODE_STRING, UnicodeString)
KIND(STRING, AnsiString)
KIND(WCHAR, WideText)
KIND(CHAR, Text)
KIND(RTL_BITMAP, Bitmap)
KIND(struct _EPROCESS, Process)
KIND(struct _OBJECT_TYPE, ObjectType)
KIND(XSTATE_SAVE, ExtendedState)
#undef KIND

}  // namespace kdpc::fuzz
