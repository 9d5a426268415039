import Testing

@testable import PresenceMesh

@Suite("The mailbox of a reader", .timeLimit(.minutes(10)))
struct MailboxTests {
  private func element(_ delivery: Mailbox<Int>.Delivery) -> Int? {
    if case .element(let element) = delivery { element } else { nil }
  }

  private func isFinished(_ delivery: Mailbox<Int>.Delivery) -> Bool {
    if case .finished = delivery { true } else { false }
  }

  private func asksForSnapshot(_ delivery: Mailbox<Int>.Delivery) -> Bool {
    if case .resynchronize = delivery { true } else { false }
  }

  @Test("Elements come out in the order they went in, at every fill of the ring")
  func order() async {
    let mailbox = Mailbox<Int>(capacity: 7, overflow: .resynchronize)
    mailbox.open()
    var put = 0
    var taken = 0
    for round in 0..<200 {
      for _ in 0..<(round % 7) where mailbox.count < 7 {
        mailbox.put([put])
        put += 1
      }
      for _ in 0..<(round % 5) where mailbox.count > 0 {
        #expect(element(await mailbox.take()) == taken)
        taken += 1
      }
    }
    #expect(mailbox.takeAll() == Array(taken..<put))
  }

  @Test("A mailbox that is full empties itself and asks for a snapshot once")
  func overflow() async {
    let mailbox = Mailbox<Int>(capacity: 3, overflow: .resynchronize)
    mailbox.put([0])
    #expect(mailbox.count == 0)
    #expect(asksForSnapshot(await mailbox.take()))
    mailbox.open()
    mailbox.put(1...3)
    #expect(mailbox.count == 3)
    mailbox.put(4...1000)
    #expect(mailbox.count == 0)
    #expect(asksForSnapshot(await mailbox.take()))
    mailbox.open()
    mailbox.put([5])
    #expect(element(await mailbox.take()) == 5)
  }

  @Test("Where the oldest go, the newest stay")
  func dropOldest() async {
    let mailbox = Mailbox<Int>(capacity: 3, overflow: .dropOldest)
    mailbox.put(1...10)
    #expect(mailbox.takeAll() == [8, 9, 10])
  }

  @Test("A waiting reader gets what comes, and what waits is read before the end")
  func waitingAndFinishing() async {
    let mailbox = Mailbox<Int>(capacity: 3, overflow: .resynchronize)
    mailbox.open()
    let reader = Task { await mailbox.take() }
    while !mailbox.isAwaited { await Task.yield() }
    mailbox.put([1, 2])
    #expect(element(await reader.value) == 1)
    mailbox.finish()
    mailbox.put([3])
    #expect(element(await mailbox.take()) == 2)
    #expect(isFinished(await mailbox.take()))
  }

  @Test("A waiting reader learns of the end")
  func finishWhileWaiting() async {
    let mailbox = Mailbox<Int>(capacity: 3, overflow: .resynchronize)
    mailbox.open()
    let reader = Task { await mailbox.take() }
    while !mailbox.isAwaited { await Task.yield() }
    mailbox.finish()
    #expect(isFinished(await reader.value))
  }

  @Test("A cancelled reader ends, before it waits and while it waits; the mailbox does not")
  func cancellation() async {
    let mailbox = Mailbox<Int>(capacity: 3, overflow: .resynchronize)
    mailbox.open()
    let waiting = Task { await mailbox.take() }
    while !mailbox.isAwaited { await Task.yield() }
    waiting.cancel()
    #expect(isFinished(await waiting.value))
    let early = Task {
      while !Task.isCancelled { await Task.yield() }
      return await mailbox.take()
    }
    early.cancel()
    #expect(isFinished(await early.value))
    mailbox.put([1])
    #expect(element(await mailbox.take()) == 1)
  }

  @Test("Cancelling at any moment leaves no reader behind and loses no element")
  func cancellationRaces() async {
    for _ in 0..<300 {
      let mailbox = Mailbox<Int>(capacity: 3, overflow: .resynchronize)
      mailbox.open()
      let reader = Task { await mailbox.take() }
      async let put: Void = mailbox.put([1])
      reader.cancel()
      let taken = element(await reader.value)
      await put
      #expect((taken.map { [$0] } ?? []) + mailbox.takeAll() == [1])
    }
  }
}
