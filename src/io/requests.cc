#include "io/requests.h"

#include "this_machine.h"

namespace kdpc::io::requests {

namespace {

constexpr std::uint32_t kFileTag = pool_tag("File");
constexpr std::uint32_t kRequestTag = pool_tag("IoRq");
constexpr std::uint32_t kUserTag = pool_tag("User");

// MarkIrpPending and MarkIrpPending2: what a dispatch routine returned and what the IRP says must agree. NT itself would lose the request or
// wait for ever.
void check_pending(const Request& request) {
  if (sys().options.irql_checks != Options::IrqlChecks::Strict) return;
  const auto stop_with = [&](const char* sentence, const char* rule) {
    bug_check(stop::DriverVerifierIoManagerViolation, {0, as_parameter(request.irp), static_cast<ULONG>(request.returned), 0}, sentence, rule);
  };
  if (!request.completed) {
    if (request.returned != STATUS_PENDING)
      stop_with("A dispatch routine returned a final status, but has not completed the IRP.", "MarkIrpPending2");
    return;
  }
  if (request.returned == STATUS_PENDING && !request.irp->PendingReturned)
    stop_with("A dispatch routine returned STATUS_PENDING for an IRP that it has not marked pending.", "MarkIrpPending2");
  if (request.returned != STATUS_PENDING && request.irp->PendingReturned)
    stop_with("A dispatch routine marked an IRP pending, but did not return STATUS_PENDING.", "MarkIrpPending");
}

void close_for_good(File* file) {
  DEVICE_OBJECT* device = file->object.DeviceObject;
  send(device, IRP_MJ_CLOSE, 0, STATUS_SUCCESS, [&](IO_STACK_LOCATION& location) { location.FileObject = &file->object; });
  if (file->object.FileName.Buffer != nullptr) release(file->object.FileName);
  discard(file, kFileTag);
  device::count_close(device);
}

void KDPC_NTAPI close_in_worker(void* file) { close_for_good(static_cast<File*>(file)); }

// The block in place of the application's memory: output, then input behind it.
bool give_memory(Request& request, const void* input, std::size_t input_size, void* output, std::size_t output_size) {
  request.output = output;
  request.output_size = output_size;
  if (input_size + output_size == 0) return true;
  request.memory = sys().pool.allocate(input_size + output_size, kUserTag);
  if (request.memory == nullptr) return false;
  std::memset(request.memory, 0, output_size);
  if (input_size != 0) std::memcpy(static_cast<std::byte*>(request.memory) + output_size, input, input_size);
  return true;
}

void destroy(Request* request) {
  irp::take_buffers(request->irp);
  irp::free(request->irp);
  if (request->memory != nullptr) sys().pool.free(request->memory, kUserTag);
  File* file = request->file;
  discard(request, kRequestTag);
  if (file != nullptr) dereference(*file);
}

Request* give_up(Request* request) {
  destroy(request);
  return nullptr;
}

Request* begin_transfer(File& file, UCHAR major, const void* input, void* output, std::size_t size, std::uint64_t offset) {
  DEVICE_OBJECT* top = device::top_of(file.object.DeviceObject);
  Request* request = create(top, &file, major, 0);
  if (request == nullptr) return nullptr;
  const bool reads = major == IRP_MJ_READ;
  if (!give_memory(*request, input, reads ? 0 : size, output, reads ? size : 0)) return give_up(request);
  IO_STACK_LOCATION* location = IoGetNextIrpStackLocation(request->irp);
  location->Parameters.Read.Length = static_cast<ULONG>(size);
  location->Parameters.Read.ByteOffset.QuadPart = static_cast<LONGLONG>(offset);
  const NTSTATUS status =
      reads ? irp::give_read_buffers(request->irp, top, request->memory, size) : irp::give_write_buffers(request->irp, top, request->memory, size);
  if (!NT_SUCCESS(status)) return give_up(request);
  dispatch(*request);
  return request;
}

}  // namespace

Request* create(DEVICE_OBJECT* device, File* file, UCHAR major, UCHAR minor) {
  DEVICE_OBJECT* top = device::top_of(device);
  auto* request = make<Request>(sizeof(Request), kRequestTag);
  if (request == nullptr) return nullptr;
  request->irp = irp::allocate(top->StackSize);
  if (request->irp == nullptr) {
    discard(request, kRequestTag);
    return nullptr;
  }
  request->file = file;
  request->unsettled = 1;
  wait::initialize_event(request->done, ObjectType::NotificationEvent, false);
  IRP& irp = *request->irp;
  irp::state_of(&irp)->request = request;
  irp.RequestorMode = file != nullptr ? UserMode : KernelMode;
  irp.Tail.Overlay.Thread = reinterpret_cast<PETHREAD>(&thread::current());
  irp.Tail.Overlay.OriginalFileObject = file != nullptr ? &file->object : nullptr;
  IO_STACK_LOCATION* location = IoGetNextIrpStackLocation(&irp);
  location->MajorFunction = major;
  location->MinorFunction = minor;
  location->DeviceObject = top;
  location->FileObject = file != nullptr ? &file->object : nullptr;
  if (file != nullptr) __atomic_add_fetch(&file->requests, 1, __ATOMIC_SEQ_CST);
  return request;
}

void dispatch(Request& request) {
  if (request.file != nullptr) __atomic_add_fetch(&manager().requests_pending, 1, __ATOMIC_SEQ_CST);
  request.returned = irp::call(IoGetNextIrpStackLocation(request.irp)->DeviceObject, request.irp);
  check_pending(request);
}

void completed(Request& request, CCHAR boost) {
  request.completed = true;
  if (request.file != nullptr) __atomic_sub_fetch(&manager().requests_pending, 1, __ATOMIC_SEQ_CST);
  let_go(request, boost);
}

void let_go(Request& request, CCHAR boost) {
  if (request.held) Machine::observe(OrderReleased{&request});
  if (__atomic_sub_fetch(&request.unsettled, 1, __ATOMIC_SEQ_CST) != 0) return;
  if (request.held) Machine::observe(OrderAcquired{&request});
  wait::set_event(request.done, boost);
}

bool wait_for(Request& request, const std::int64_t* timeout) { return wait::for_object(request.done.header, timeout) == status::Success; }

bool cancel(Request& request) { return !request.completed && irp::cancel(request.irp); }

bool any_pending() { return sys().io_manager != nullptr && manager().requests_pending != 0; }

void cancel_all() {
  LIST_ENTRY held;
  held.Flink = held.Blink = &held;
  const auto irp_of = [](LIST_ENTRY* entry) { return CONTAINING_RECORD(entry, IRP, ThreadListEntry); };
  const auto age_of = [](const IRP* irp) { return sys().pool.block_at(irp)->sequence; };
  irp::for_each_sent([&](IRP& irp) {
    const IrpState* const state = irp::state_of(&irp);
    Request* const request = state != nullptr ? state->request : nullptr;
    if (request == nullptr || request->file == nullptr) return;
    request->held = true;
    __atomic_add_fetch(&request->unsettled, 1, __ATOMIC_SEQ_CST);
    LIST_ENTRY* younger = held.Flink;
    while (younger != &held && age_of(irp_of(younger)) < age_of(&irp)) younger = younger->Flink;
    InsertTailList(younger, &irp.ThreadListEntry);
  });
  while (!IsListEmpty(&held)) {
    IRP* const irp = irp_of(RemoveHeadList(&held));
    irp::cancel(irp, irp::state_of(irp)->request);
  }
}

IoResult finish(Request* request) {
  wait_for(*request);
  check_pending(*request);
  const IoResult result{request->irp->IoStatus.Status, request->irp->IoStatus.Information};
  irp::take_buffers(request->irp);
  if (request->output != nullptr && !NT_ERROR(result.status))
    std::memcpy(request->output, request->memory, result.information < request->output_size ? result.information : request->output_size);
  destroy(request);
  return result;
}

NTSTATUS open(std::u16string_view name, File*& file) {
  file = nullptr;
  Name rest;
  DEVICE_OBJECT* device = nullptr;
  if (const NTSTATUS refused = names::open(name, rest, device); !NT_SUCCESS(refused)) return refused;
  auto* opened = make<File>(sizeof(File), kFileTag);
  if (opened == nullptr || !duplicate(opened->object.FileName, rest.view())) {
    if (opened != nullptr) discard(opened, kFileTag);
    device::count_close(device);
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  FILE_OBJECT& object = opened->object;
  object.Type = IO_TYPE_FILE;
  object.Size = sizeof(FILE_OBJECT);
  object.DeviceObject = device;
  object.ReadAccess = object.WriteAccess = TRUE;
  wait::initialize_event(wdk::as_event(&object.Lock), ObjectType::SynchronizationEvent, false);
  wait::initialize_event(wdk::as_event(&object.Event), ObjectType::NotificationEvent, false);
  object.IrpList.Flink = object.IrpList.Blink = &object.IrpList;
  const IoResult result = send(device, IRP_MJ_CREATE, 0, STATUS_SUCCESS, [&](IO_STACK_LOCATION& location) { location.FileObject = &object; });
  if (!result.ok()) {
    release(object.FileName);
    discard(opened, kFileTag);
    device::count_close(device);
    return result.status;
  }
  object.Flags |= FO_FILE_OPEN;
  file = opened;
  return STATUS_SUCCESS;
}

void close(File* file) {
  send(file->object.DeviceObject, IRP_MJ_CLEANUP, 0, STATUS_SUCCESS, [&](IO_STACK_LOCATION& location) { location.FileObject = &file->object; });
  file->object.Flags |= FO_CLEANUP_COMPLETE;
  // IRP_MJ_CLOSE comes when the last request has been finished.
  reference(*file);
  file->closing = true;
  dereference(*file);
}

std::uint32_t reference(File& file) { return __atomic_add_fetch(&file.requests, 1, __ATOMIC_SEQ_CST); }

std::uint32_t dereference(File& file) {
  const std::uint32_t left = __atomic_sub_fetch(&file.requests, 1, __ATOMIC_SEQ_CST);
  if (left != 0 || !file.closing) return left;
  if (current_irql() == Irql::Passive) {
    close_for_good(&file);
  } else {
    work::initialize(file.last_act, close_in_worker, &file);
    work::queue(file.last_act, static_cast<std::uint32_t>(WorkQueue::Critical));
  }
  return 0;
}

Request* begin_read(File& file, void* buffer, std::size_t size, std::uint64_t offset) {
  return begin_transfer(file, IRP_MJ_READ, nullptr, buffer, size, offset);
}

Request* begin_write(File& file, const void* data, std::size_t size, std::uint64_t offset) {
  return begin_transfer(file, IRP_MJ_WRITE, data, nullptr, size, offset);
}

Request* begin_control(File& file, ULONG code, const void* input, std::size_t input_size, void* output, std::size_t output_size, bool internal) {
  Request* request = create(file.object.DeviceObject, &file, internal ? IRP_MJ_INTERNAL_DEVICE_CONTROL : IRP_MJ_DEVICE_CONTROL, 0);
  if (request == nullptr) return nullptr;
  if (!give_memory(*request, input, input_size, output, output_size)) return give_up(request);
  IO_STACK_LOCATION* location = IoGetNextIrpStackLocation(request->irp);
  location->Parameters.DeviceIoControl.IoControlCode = code;
  auto* bytes = static_cast<std::byte*>(request->memory);
  const NTSTATUS status = irp::give_control_buffers(request->irp, location, input_size != 0 ? bytes + output_size : nullptr, input_size,
                                                    output_size != 0 ? bytes : nullptr, output_size);
  if (!NT_SUCCESS(status)) return give_up(request);
  dispatch(*request);
  return request;
}

Request* begin_flush(File& file) {
  Request* request = create(file.object.DeviceObject, &file, IRP_MJ_FLUSH_BUFFERS, 0);
  if (request != nullptr) dispatch(*request);
  return request;
}

}  // namespace kdpc::io::requests
