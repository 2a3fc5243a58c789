// What an application does with a device, for code inside the machine at Passive: open by name, read, write, control, wait, cancel, close.
//
// An application's memory is not the run's, so every request has a block of the pool in its place; a driver sees only that. The result and the
// bytes read are handed over when the requesting thread runs again, in finish() (IRP-1).
#pragma once
#include "io/irp.h"
#include "kernel/workitem.h"

namespace kdpc::io {

// An open file: what NT calls a file object, with its count of requests.
struct File {
  FILE_OBJECT object;               // what drivers see
  volatile std::uint32_t requests;  // X  begun and not yet finished, and drivers' references
  bool closing;                     // T
  WorkItem last_act;                //    closes it when the last reference was given back above Passive
};

struct IoResult {
  NTSTATUS status = STATUS_SUCCESS;
  std::uint64_t information = 0;
  bool ok() const { return NT_SUCCESS(status); }
};

struct Request {
  IRP* irp;
  File* file;  // null: sent by the system
  EventObject done;
  volatile bool completed;          // X  the final stage was reached
  volatile std::uint8_t unsettled;  // X  who must let go before its sender goes on: the final stage, and who cancels it
  volatile bool held;               // X  by who cancels it, once
  NTSTATUS returned;                // T  by the dispatch routine
  void* memory;                     // the pool block in place of the application's memory; output first
  std::size_t output_size;
  void* output;  // T  where finish() copies to: the application's own
};

namespace requests {

NTSTATUS open(std::u16string_view name, File*& file);
void close(File* file);
// A driver's references; at most Dispatch. The count afterwards. With the last one of a closed file IRP_MJ_CLOSE is sent.
std::uint32_t reference(File& file);
std::uint32_t dereference(File& file);

// Begin sends the request; finish waits for it, hands over what it brought and frees it. Null: no memory.
Request* begin_read(File& file, void* buffer, std::size_t size, std::uint64_t offset = 0);
Request* begin_write(File& file, const void* data, std::size_t size, std::uint64_t offset = 0);
Request* begin_control(File& file, ULONG code, const void* input, std::size_t input_size, void* output, std::size_t output_size,
                       bool internal = false);
Request* begin_flush(File& file);
// False: the time has passed. `timeout` as for wait::for_object.
bool wait_for(Request& request, const std::int64_t* timeout = nullptr);
// True: a cancel routine was called.
bool cancel(Request& request);
IoResult finish(Request* request);

// What applications have asked for is cancelled, the oldest first: every request of a file that is not completed, as by CancelIoEx. At Passive, in a thread of
// its own; simulated machine only.
void cancel_all();
bool any_pending();  // anywhere: is there one that it would cancel?

// Of the system, without a file: an IRP to the top of the device's stack. `fill` completes the first stack location.
template <class Fill>
IoResult send(DEVICE_OBJECT* device, UCHAR major, UCHAR minor, NTSTATUS initial, Fill fill);

// From the final stage, in whatever context.
void completed(Request& request, CCHAR boost);
// With the last one the sender goes on, and may free it.
void let_go(Request& request, CCHAR boost = IO_NO_INCREMENT);

// The two halves of send().
Request* create(DEVICE_OBJECT* device, File* file, UCHAR major, UCHAR minor);
void dispatch(Request& request);

template <class Fill>
IoResult send(DEVICE_OBJECT* device, UCHAR major, UCHAR minor, NTSTATUS initial, Fill fill) {
  Request* request = create(device, nullptr, major, minor);
  if (request == nullptr) return {STATUS_INSUFFICIENT_RESOURCES, 0};
  request->irp->IoStatus.Status = initial;
  fill(*IoGetNextIrpStackLocation(request->irp));
  dispatch(*request);
  return finish(request);
}

}  // namespace requests
}  // namespace kdpc::io
