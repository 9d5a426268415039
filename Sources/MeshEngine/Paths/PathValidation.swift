import MeshCRDT
import MeshTrust
import MeshWire

/// Proves addresses: that the return path works, and that the node there owns its key.
///
/// Three datagrams make a path both ways:
///
///     A → B  challenge(a)                        no state at B
///     B → A  proof(echo a, token b, wants proof)  signed; A has a path to B
///     A → B  proof(echo b, token a)               signed; B has a path to A
///
/// What comes from an address without the echo of this node's token is answered with a challenge (or, if
/// it is one, with a proof) of at most three times its bytes. Of one datagram, and of one token of one
/// address, at most ``EngineLimits/repeatedAnswers`` answers go in a second; after that, at most
/// ``EngineLimits/challengeAnswersPerSecond`` of all together, shared fairly by address. So neither a
/// replayed datagram nor a flood keeps others from joining.
struct PathValidation: Sendable {
  /// A proof that was verified.
  struct Proven: Sendable {
    let sender: Sender
    let token: UInt64
    let wantsProof: Bool
  }

  /// What a proof shows.
  enum ProofResult: Sendable {
    case refused
    case proven(Proven)
    /// Another process has this node's key. It makes no path.
    case ownKey(Proven)
  }

  private struct TokenOfAddress: Hashable, Sendable {
    let address: PeerAddress
    let token: UInt64
  }

  private var answers: FairBudget
  private var proofs: FairBudget
  /// By authenticator: who sends one again cannot give it another, nor another one this.
  private var answeredDatagrams: UseCounts<[UInt8]>
  private var answeredTokens: UseCounts<TokenOfAddress>
  private var wrongProofs: UseCounts<PeerAddress>

  init(now: MonotonicTime) {
    answers = FairBudget(perSecond: EngineLimits.challengeAnswersPerSecond, now: now)
    proofs = FairBudget(perSecond: EngineLimits.proofsPerSecond, now: now)
    answeredDatagrams = UseCounts(bound: EngineLimits.countedUses, now: now)
    answeredTokens = UseCounts(bound: EngineLimits.countedUses, now: now)
    wrongProofs = UseCounts(bound: EngineLimits.countedUses, now: now)
  }
}

// MARK: - Without the echo

extension PathValidation {
  /// Answers a datagram whose address has not proven its return path, or not for this sender.
  mutating func handleUnproven(
    _ datagram: DatagramSealer.Opened, from address: PeerAddress, known: Path?,
    _ context: inout EngineContext
  ) {
    context.counters.count(.datagramsUnproven)
    var messages = datagram.messages
    let first: MeshMessage?
    do { first = try messages.next() } catch {
      return context.counters.count(.messagesMalformed)
    }
    var challenge: UInt64 = 0
    if case .challenge(let token) = first {
      // An announcement of somebody who is known.
      if token == 0, known?.sender.origin == datagram.header.sender { return }
      challenge = token
    }
    guard mayAnswer(datagram, token: challenge, to: address, &context) else { return }
    let message: MeshMessage?
    if challenge != 0 {
      message = proof(
        echo: challenge, to: address,
        ownToken: known?.sender == datagram.sender ? known?.ownToken : nil,
        wantsProof: known?.token != challenge, context)
    } else {
      message = .challenge(token: Self.token(for: address, context))
    }
    guard let encoded = message?.encoded(),
      encoded.count + DatagramHeader.overheadBytes
        <= Limits.amplificationFactor * datagram.byteCount
    else { return context.counters.count(.challengesWithheld) }
    context.counters.count(.challengesSent)
    for _ in 0..<(PlantedBug.isActive(.amplificationUnbounded) ? 12 : 1) {
      context.outbox.append(opening: encoded, echo: challenge, to: address)
    }
  }

  /// True when an answer may go. Repetitions are recognised before they cost the budget.
  private mutating func mayAnswer(
    _ datagram: DatagramSealer.Opened, token: UInt64, to address: PeerAddress,
    _ context: inout EngineContext
  ) -> Bool {
    let tokenOfAddress = TokenOfAddress(address: address, token: token)
    let now = context.now
    guard
      answeredDatagrams.count(of: datagram.authenticator, now: now) < EngineLimits.repeatedAnswers,
      answeredTokens.count(of: tokenOfAddress, now: now) < EngineLimits.repeatedAnswers
    else {
      context.counters.count(.challengesRepeated)
      return false
    }
    guard answers.take(for: address, now: now) else {
      context.counters.count(.challengesWithheld)
      return false
    }
    answeredDatagrams.use(datagram.authenticator, now: now)
    answeredTokens.use(tokenOfAddress, now: now)
    return true
  }
}

// MARK: - Proofs

extension PathValidation {
  /// Evaluates the proof with which a datagram begins that has the right echo.
  ///
  /// The caller has seen that the counter of the datagram is new on its path, and that the echo is right.
  mutating func handleProof(
    _ message: SignedMessage, _ header: DatagramHeader.Inner, from address: PeerAddress,
    _ context: inout EngineContext
  ) -> ProofResult {
    context.counters.count(.proofsReceived)
    guard let body = try? message.read(PathProof.self) else {
      context.counters.count(.messagesMalformed)
      return .refused
    }
    guard message.origin == header.sender, body.incarnation == header.incarnation,
      body.echo == header.echo || PlantedBug.isActive(.pathNotChallenged)
    else {
      context.counters.count(.proofsRefused)
      return .refused
    }
    guard wrongProofs.count(of: address, now: context.now) < EngineLimits.wrongProofs,
      proofs.take(for: address, now: context.now)
    else {
      context.counters.count(.proofsWithheld)
      return .refused
    }
    context.counters.count(.signaturesVerified)
    guard (try? context.verifier.verify(message, body)) != nil else {
      context.counters.count(.signaturesWrong)
      wrongProofs.use(address, now: context.now)
      context.counters.count(.proofsRefused)
      return .refused
    }
    let proven = Proven(
      sender: Sender(origin: message.origin, incarnation: body.incarnation), token: body.token,
      wantsProof: body.wantsProof)
    return message.origin == context.origin ? .ownKey(proven) : .proven(proven)
  }

  /// Sends a proof to an address that has proven itself, in answer to its token, with this node's certificate
  /// if it has one.
  ///
  /// - Parameter ownToken: of the path at the address; `nil`: there is none.
  func sendProof(
    echo: UInt64, to address: PeerAddress, ownToken: UInt64?, wantsProof: Bool = false,
    followedBy messages: [MeshMessage] = [], _ context: inout EngineContext
  ) {
    guard
      let proof = proof(
        echo: echo, to: address, ownToken: ownToken, wantsProof: wantsProof, context)
    else { return }
    let certificate = context.ownCertificate.map { [MeshMessage.certificate($0)] } ?? []
    var bytes = proof.encoded()
    for message in (messages.isEmpty ? certificate : messages).map({ $0.encoded() })
    where bytes.count + message.count <= DatagramHeader.messageBytes { bytes += message }
    context.outbox.append(opening: bytes, echo: echo, to: address)
  }

  /// Sends a challenge to an address that is tried.
  func sendChallenge(to address: PeerAddress, _ context: inout EngineContext) {
    context.counters.count(.challengesSent)
    let message = MeshMessage.challenge(token: Self.token(for: address, context))
    context.outbox.append(opening: message.encoded(), echo: 0, to: address)
  }

  /// The bytes of a datagram with a challenge.
  static let challengeDatagramBytes =
    DatagramHeader.overheadBytes + MeshMessage.headerBytes + 8

  /// The token that is told to an address without a path: another one in each ``EngineLimits/tokenSpan``, so
  /// that a proof that was captured makes no path later.
  static func token(
    for address: PeerAddress, spansAgo: UInt64 = 0, _ context: EngineContext
  ) -> UInt64 {
    let span = context.now.nanoseconds / EngineLimits.tokenSpan.nanoseconds
    return context.crypto.token(
      forAddress: address.bytes + (span - min(span, spansAgo)).bigEndianBytes)
  }

  /// True for the token that is told to an address, and for the one before it.
  static func isToken(
    _ token: UInt64, for address: PeerAddress, _ context: EngineContext
  ) -> Bool {
    token != 0
      && (token == Self.token(for: address, context)
        || token == Self.token(for: address, spansAgo: 1, context))
  }

  private func proof(
    echo: UInt64, to address: PeerAddress, ownToken: UInt64?, wantsProof: Bool,
    _ context: EngineContext
  ) -> MeshMessage? {
    context.verifier.sign(
      PathProof(
        incarnation: context.incarnation, echo: echo,
        token: ownToken ?? Self.token(for: address, context), wantsProof: wantsProof)
    ).map { .pathProof($0.message) }
  }
}
