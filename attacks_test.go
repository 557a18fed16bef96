package main

import (
	"go/ast"
	"go/types"
	"path"
	"slices"
	"strings"
	"testing"
)

// The attacks that this program is tested against, by name.
//
// A line of the table is an attack, a known failure of other implementations, or an end of a handshake: what it is; where it is known from
// (a CVE, an issue of another project, a paper, or the section of docs/PROTOCOL.md that rules it out); and the tests that make it, each as
// a folder and a function. To see one at work: go test ./proto/srp -run TestMissingPad. TestAttacksHaveTests checks that all of them
// exist, so that a test can't be renamed or dropped without its line.
//
// A line with a reason in the place of tests is an attack that no test here makes. The reason says whether it is out of reach of a test,
// not defended against, or not yet.
type attack struct {
	name, source string
	tests        []string
	left         string
}

func by(tests ...string) []string { return tests }

var attacks = slices.Concat(knownSRP, knownKeyEstablishment, knownElsewhere, endsOfLogin, endsOfOpening, offRails, fuzzed)

// Failures of SRP implementations.
var knownSRP = []attack{
	{name: "A ≡ 0 (0, N, 2N): S is 0 and anybody logs in", source: "CVE-2009-4810, cyrusimap/cyrus-sasl#896", tests: by(
		"proto/srp TestMalloryLogsInWithAZeroA", "proto/srp TestMallorySendsOversizedValues", "proto TestServerRefusesAOutOfRange", "proto TestPasswordBeginOutOfRange")},
	{name: "A or B hashed without PAD", source: "cocagne/csrp#9, 1Password/srp#47", tests: by("proto/srp TestMissingPad", "proto/srp TestRFC5054AppendixB")},
	{name: "B unchecked by the client", source: "1Password/srp#3", tests: by(
		"proto/srp TestMalloryPlaysServerWithAZeroB", "proto TestClientRefusesBOutOfRange", "proto TestPasswordBeginOutOfRange")},
	{name: "a small base takes a shorter way, whose time tells about x", source: "PARASITE, openssl#13888, CVE-2021-4286", tests: by("proto/srp TestSmallBaseIsAsWideAsAny")},
	{name: "a proof is compared in variable time", source: "bcgit/bc-java#2406", tests: by(
		". TestProofsAreComparedInConstantTime", "proto TestBentM1IsRefused")},
	{name: "B is not reduced modulo N", source: "opencoff/go-srp#5", tests: by("proto/srp TestBIsReduced", "proto/srp TestOracleAgrees")},
	{name: "a + u·x is reduced modulo p", source: "randombit/botan#3236", tests: by("proto/srp TestExponentIsNotReducedModuloP")},
	{name: "weak or static nonces", source: "CVE-2025-54885, CVE-2026-3559", tests: by(
		"proto/srp TestExponentsAreFreshAndWide", "proto TestEverySessionIsItsOwn", "proto TestNewEpochIsFresh", "proto TestBoxSaltsAreDistinct", "proto/box TestKeyNeverRepeats")},
	{name: "oversized parameters", source: "CVE-2014-3512", tests: by(
		"proto/srp TestMallorySendsOversizedValues", "proto TestServerAdmits", "server TestSilenceBeforeARightMAC", "client TestHowReadingEnds")},
	{name: "the way of unknown names leaves memory behind", source: "CVE-2016-0798", tests: by("proto TestUnknownNamesLeaveNothing")},
	{name: "the way of unknown names is another: by steps, lengths, allocations", source: "CVE-2016-0798", tests: by(
		"proto TestInventedUserTakesTheSameSteps", "proto TestOneReplyForEveryRefusedLogin", "proto/srp TestInventedVerifierGoesTheSameWay", "server TestOneReplyForEveryRefusedLogin")},
	{name: "the way of unknown names takes another time", source: "docs/PROTOCOL.md 4.4", tests: by(
		"proto TestRealAndInventedNamesTakeOneTime", "proto TestTimingFindsALeak")},
	{name: "a salt that changes, or comes with the account, tells which names exist", source: "docs/PROTOCOL.md 4.4", tests: by(
		"proto TestSaltIsStable", "proto TestInventedUsersSalt", "proto TestInventedVerifierIsUniformModuloN")},
	{name: "a right proof for a name without an account", source: "docs/PROTOCOL.md 4.4", tests: by("proto TestRightProofForNoAccountIsRefused", "proto TestLeftoversOfTheStoreAreNotTaken")},
	{name: "KDF parameters dictated by the server", source: "standardnotes/forum#54", tests: by(
		"password TestParamsCheck", "password TestDeriveRefusesWhatCheckRefuses", "client TestHowLoginsEnd", "proto TestServerBendsSaltOrParameters")},
	{name: "u = 0: a stolen verifier logs in", source: "Wu, SRP's design page", tests: by("proto/srp TestScramblerIsZero")},
	{name: "g of another standard for the same prime", source: "RFC 3526, RFC 5054", tests: by("proto/srp TestGroupIsRFC5054")},
	{name: "a stored verifier that is 0, 1, N-1 or not below N", source: "docs/PROTOCOL.md 9", tests: by(
		"proto/srp TestDamagedVerifier", "proto TestVerifierOutOfRange", "proto TestErrorsOfTheStoreAreOurs")},
	{name: "SRP hands out the salt before it knows who asks", source: "RFC 5054", left: "not defended against: it is in the nature of SRP, and said in docs/SECURITY.md"},
	{name: "guessing at the login", source: "docs/SECURITY.md", tests: by("server TestGuessesAtOneName", "server TestAccountPuzzleFollowsTheName", "server TestProofWithoutAccountSolutionHasNoTurn")},
	{name: "guessing one password at many names", source: "docs/SECURITY.md", tests: by("server TestSprayedPasswords", "server TestHarderPuzzlesOfABadNetwork")},
	{name: "guesses at a name keep its owner out", source: "docs/SECURITY.md", tests: by("server TestAliceInAFloodOfGuesses", "server TestFullLine", "server TestHomes")},
	{name: "the wait or the puzzle of a name tells that it exists", source: "docs/SECURITY.md", tests: by("server TestInventedNamesHaveTheSameLine", "server TestRightPasswordsDoNotWait")},
	{name: "secrets seen in power, emanations or by a neighbour in the processor", source: "", left: "out of reach: bigmod's constant time is taken at its word"},
}

// Failures of Needham and Schroeder's protocols, and of others like it.
var knownKeyEstablishment = []attack{
	{name: "an old session key is replayed to B", source: "Denning and Sacco, 1981", tests: by("proto/e2e TestDenningSacco", "proto/e2e TestReplays")},
	{name: "a ticket that does not hold the nonce that B drew for it", source: "Needham and Schroeder, 1987", tests: by(
		"proto/e2e TestTicketWithAnotherNonceUsesUpNB", "proto/e2e TestIntroBoxOfAnotherRunUsesUpN1", "proto/ticket TestServerRefuses")},
	{name: "challenges answered as N−1 are spliced", source: "accepted 1000 times of 1000 under a bare block cipher", tests: by(
		"proto/e2e TestSplicingTwoRuns", "proto/e2e TestBoxesInAnotherPlace", "proto/e2e TestAnotherN2", "proto/e2e TestAnotherN3OrCommitment")},
	{name: "a message comes back to who said it", source: "docs/PROTOCOL.md 7", tests: by(
		"proto/e2e TestReflection", "client TestReflectedWant", "proto/e2e TestMessageOfTheOtherDirection", "proto TestMalloryReflects", "proto TestMalloryReflectsM1AsM2", "proto TestRecordIsNotReflected")},
	{name: "an insider passes on what was meant for her", source: "Lowe, 1995, of the protocol with public keys", tests: by(
		"proto/e2e TestTicketMeantForAnotherResponder", "proto/e2e TestTicketWhoseInitiatorIsNotTheSender", "proto/ticket TestTicketOpensInItsPlaceOnly")},
	{name: "a message taken for one of another type", source: "Otway-Rees, among others", tests: by(
		"proto/e2e TestMessagesInThePlaceOfOthers", "proto/e2e TestBoxesInAnotherPlace", "proto/box TestBoxOpensInItsPlaceOnly", "proto/ticket TestIntroBoxOpensInItsPlaceOnly")},
	{name: "a lying server mixes two runs", source: "docs/PROTOCOL.md 7", tests: by("proto/ticket TestLyingServerMixesRuns", "proto/e2e TestSplicingTwoRuns")},
	{name: "a lying server puts itself in between", source: "docs/PROTOCOL.md 7", tests: by(
		"proto/e2e TestLyingServerPlaysBothEnds", "proto/e2e TestLyingServerSubstitutesShares", "proto/e2e TestLyingServerInTheSecondConversation")},
	{name: "a lying server puts itself in between two who don't compare the digits", source: "docs/SECURITY.md", left: "not defended against: this is what verify is for; the tests above show that it reads, and that the digits differ"},
	{name: "digits searched until they match, against a share that is not committed to", source: "RFC 6189 4.4.1.1", tests: by("proto/e2e TestCommitmentToAnotherShare", "proto/e2e TestDigitsAreOverEverything")},
	{name: "the version is taken down", source: "docs/PROTOCOL.md 7", tests: by("proto/e2e TestVersionDowngrade", "proto/e2e TestNonceWithAVersionThatWasNotOffered", "proto/e2e TestTurnInVersionOne")},
	{name: "a peer is said to be the one from before", source: "docs/PROTOCOL.md 7.1", tests: by("proto/e2e TestLiarSaysContinued", "proto/e2e TestMarks", "proto/e2e TestNotContinued")},
	{name: "a stolen key opens what went before, or goes on for ever", source: "docs/PROTOCOL.md 8.1", tests: by("proto/e2e TestThiefOfAKey", "proto/e2e TestRatchetForgets")},
	{name: "a key and nonce used twice", source: "docs/PROTOCOL.md 2.2", tests: by("proto/e2e TestNoKeySealsTwice", "proto/record TestNoNonceTwice", "proto/box TestKeyNeverRepeats")},
	{name: "a relay drops, repeats, swaps, delays and bends", source: "docs/PROTOCOL.md 8", tests: by(
		"proto/e2e TestMaliciousRelay", "client TestSchedulesOfALiar", "client TestSwappedMessagesAreDropped", "client TestBentMessagesAreDropped", "client TestDuplicatesAreAcknowledgedUnopened")},
	{name: "a relay that delivers nothing", source: "docs/SECURITY.md", tests: by("client TestSwallowedTextIsUnknown", "client TestEveryStepMayStall")},
	{name: "who talks with whom, from when and how much goes over the network", source: "docs/SECURITY.md", left: "not defended against: there is no cover traffic"},
}

// Failures of puzzles, texts, terminals and command lines elsewhere.
var knownElsewhere = []attack{
	{name: "one solution is spent many times", source: "TecharoHQ/anubis#1002", tests: by(
		"proto TestSolutionIsTakenOnce", "proto TestServerRefusesSolutionReplayedElsewhere", "proto/puzzle TestMallorySpendsTheWorkElsewhere")},
	{name: "somebody in the middle spends another's work on a login of his own", source: "docs/PROTOCOL.md 4.1", tests: by("proto TestServerRefusesSolutionForAnotherLogin")},
	{name: "solved puzzles by the thousand, from a graphics card", source: "Tor's proposal 327", tests: by(
		"server TestMoreSolvedPuzzlesThanWork", "server TestOrderOfTheBudget", "server TestBudgetSendsAway", "server TestDifficulty")},
	{name: "a text that is a terminal's escape sequence", source: "gurk-rs#384", tests: by("client TestHarmless", "client TestHarmlessEveryCharacter", "client TestHarmlessLookAlikes", ". TestScript")},
	{name: "a pasted text becomes commands", source: "docs/SECURITY.md", tests: by("client TestPaste", "client TestPastedPassword")},
	{name: "two passwords become one", source: "RFC 8265", tests: by("password TestPrepare")},
	{name: "a password that takes the strength meter minutes", source: "zxcvbn", tests: by("password TestJudgedLengthIsBounded")},
	{name: "a secret in the list of processes", source: "CVE-2023-43621, croc#598", tests: by(". TestNoSecretInArguments", "client TestFirstLines", "client TestPasswordFile")},
	{name: "a session that nobody has any more keeps the name", source: "ssh-chat#263", tests: by("server TestReplacedSession", "client TestLoginAgainReplaces")},
	{name: "a session outlives its account", source: "docs/PROTOCOL.md 9.1", tests: by("server TestNoSessionOutlivesItsAccount", "server TestAdminEndsSessions")},
	{name: "a change of password overwrites the reset that was to keep its maker out", source: "docs/PROTOCOL.md 9", tests: by("server TestChangeOfAnAccountThatWasChanged")},
	{name: "a one-time code serves twice, or does more than choose a password", source: "docs/PROTOCOL.md 9.1", tests: by(
		"server TestCodeLetsChooseAPassword", "server TestChoosingTakesNothingElse", "server TestCodeEndsNoSession", "server TestWhoMayNotLogIn")},
	{name: "a receiver who does not read takes the relay's memory", source: "docs/PROTOCOL.md 6", tests: by("server TestFrozenReader", "server TestSlowReader", "server TestFloodWithoutReading", "server TestPool")},
	{name: "connections that say nothing take all places", source: "docs/PROTOCOL.md 4.3", tests: by("server TestFloodOfSilentConnections", "server TestEvictionSparesAGoodMAC", ". TestFloodOfSilence")},
	{name: "connections that stop at any step of the login take all places", source: "docs/PROTOCOL.md 4.3", tests: by("server TestFloods", "server TestFloodOfOneNetworkEvictsItself", "server TestHalfOfThePool")},
	{name: "descriptors run out, and nobody is let in again", source: "", tests: by("server TestNoFileDescriptors", "server TestAcceptSurvivesErrors")},
}

// What ends a login, at each of its ends (docs/PROTOCOL.md 4.3). With A and B out of range, u = 0 and the parameters of Argon2id, which are above.
var endsOfLogin = []attack{
	{name: "an X25519 result of all zeros", source: "RFC 7748 6.1", tests: by("proto TestServerRefusesAllZeroX25519", "proto TestClientRefusesAllZeroX25519", "proto TestDHTakes32Bytes")},
	{name: "an ML-KEM key or ciphertext of wrong length or form", source: "FIPS 203 7.2", tests: by("proto TestClientRefusesMalformedKEMKey", "proto TestServerRefusesBentKEMCiphertext", "proto TestServerMatrix")},
	{name: "a puzzle above the client's ceiling, or malformed", source: "docs/PROTOCOL.md 2.3", tests: by("proto TestClientRefusesPuzzlesAboveItsCeiling", "proto TestClientRefusesMalformedPuzzles", "proto/puzzle TestMalformed")},
	{name: "a wrong solution", source: "docs/PROTOCOL.md 4.3", tests: by("proto TestServerRefusesWrongSolution", "proto TestServerRefusesOtherSolutionOfNoPuzzle", "server TestNothingIsReadBeforeASolution")},
	{name: "a wrong solution of the account puzzle", source: "docs/PROTOCOL.md 4.3", tests: by("proto TestServerRefusesWrongAccountSolution")},
	{name: "a message of another length than its version has", source: "docs/PROTOCOL.md 4.1", tests: by("proto TestServerAdmits", "proto TestServerMatrix", "proto TestClientMatrix")},
	{name: "a message out of turn, or of another type", source: "docs/PROTOCOL.md 4.3", tests: by("proto TestServerMatrix", "proto TestClientMatrix", "server TestFaultsAfterHello")},
	{name: "a deadline of the server", source: "docs/PROTOCOL.md 10", tests: by("proto TestDeadlines", "proto TestSilenceKeepsItsDeadline", "server TestStallAtEachStep")},
	{name: "a deadline of the client", source: "docs/PROTOCOL.md 4.3", tests: by("proto TestDeadlines", "client TestHowLoginsEnd")},
	{name: "closed within 4 s of Hello: tried twice more", source: "docs/PROTOCOL.md 4.3", tests: by("client TestHowLoginsEnd")},
	{name: "a wrong mac1, or any fault before it: silence", source: "docs/PROTOCOL.md 4.3", tests: by(
		"proto TestWrongMAC1IsSilence", "proto TestMalformedVersionsAreSilence", "proto TestHelloIsOfItsTypeAndLength", "server TestSilenceBeforeARightMAC")},
	{name: "no version in common", source: "docs/PROTOCOL.md 4.1", tests: by("proto TestUnknownVersionIsRefused", "proto TestClientRefusesVersionThatItDidNotOffer", "server TestAnotherVersionIsRefused")},
	{name: "Refusal and Busy", source: "docs/PROTOCOL.md 4.1", tests: by("proto TestBusyAndRefusal", "client TestHowLoginsEnd")},
	{name: "a box that does not open, at each place", source: "docs/PROTOCOL.md 4.3", tests: by("proto TestMalloryFlipsEveryByte", "proto TestMalloryPutsHerShareInAlicesLogin")},
	{name: "a malformed name", source: "docs/PROTOCOL.md 1", tests: by("proto TestServerRefusesMalformedName", "proto TestParseName")},
	{name: "a wrong M1: one refusal for all", source: "docs/PROTOCOL.md 4.2", tests: by("proto TestOneReplyForEveryRefusedLogin", "proto TestBentM1IsRefused", "proto TestM1OfAnotherLogin", "client TestRefused")},
	{name: "a wrong M2, or a bent Welcome", source: "docs/PROTOCOL.md 4.3", tests: by("proto TestServerWithoutTheVerifierIsNoProof", "proto TestBentSessionIDIsNoProof", "proto TestClientRefusesMalformedWelcome")},
	{name: "a server without the private key", source: "docs/PROTOCOL.md 4.3", tests: by("proto TestWrongServerKeyIsNoProof")},
	{name: "a recorded login is played again", source: "docs/PROTOCOL.md 4.2", tests: by("proto TestMalloryReplaysALogin", "proto TestMallorySplicesTwoLogins")},
	{name: "an epoch outlives its last handshake", source: "docs/PROTOCOL.md 4.1", tests: by("proto TestEpochIsDroppedAfterLogin", "proto TestEpochChangesUnderAHandshake", "server TestEpochs")},
	{name: "no Ping after Welcome", source: "docs/PROTOCOL.md 4.5", tests: by("server TestListedWithThePing", "server TestStallAtEachStep")},
	{name: "two clients replace each other for ever", source: "mumble#1395", tests: by("server TestSecondReplacementIsHeld", "server TestHeldForTooLong", "client TestCloseReasons")},
	{name: "a change of password with a wrong old one, bent or replayed", source: "docs/PROTOCOL.md 9", tests: by(
		"proto TestWrongOldPasswordIsRefused", "proto TestMalloryBendsAPasswordChange", "proto TestMalloryReplaysAPasswordSet", "proto TestDoneIsNotForged", "server TestPasswordFramesOutOfTurn")},
}

// What ends the opening of a conversation (docs/PROTOCOL.md 7).
var endsOfOpening = []attack{
	{name: "somebody opens to himself", source: "docs/PROTOCOL.md 7", tests: by("proto/e2e TestNobodyOpensToHimself", "proto/ticket TestServerRefuses", "server TestIntro")},
	{name: "a Want whose cid is pending or open", source: "docs/PROTOCOL.md 7", tests: by("client TestReplayedWantOfAnOpenConversation", "client TestReplayedWantOfAPendingOpening", "client TestReflectedWant")},
	{name: "a ticket or intro box of other names, cid or nonce", source: "docs/PROTOCOL.md 7", tests: by("proto/ticket TestTicketOpensInItsPlaceOnly", "proto/ticket TestIntroBoxOpensInItsPlaceOnly")},
	{name: "an initiator who is not the Relay's sender", source: "docs/PROTOCOL.md 7", tests: by("proto/e2e TestTicketWhoseInitiatorIsNotTheSender")},
	{name: "a nonce used up stays so; a ticket is answered once", source: "docs/PROTOCOL.md 7", tests: by("proto/e2e TestTicketWithAnotherNonceUsesUpNB", "proto/e2e TestIntroBoxOfAnotherRunUsesUpN1", "proto/e2e TestReplays")},
	{name: "an X25519 result of all zeros", source: "RFC 7748 6.1", tests: by("proto/e2e TestAllZeroResultAtAlice", "proto/e2e TestAllZeroResultAtBob")},
	{name: "an ML-KEM key or ciphertext of wrong length or form", source: "FIPS 203 7.2", tests: by("proto/e2e TestMalformedEncapsulationKey", "proto/e2e TestMalformedCiphertext")},
	{name: "a first message that is none", source: "docs/PROTOCOL.md 8", tests: by("proto/e2e TestFirstMessageIsOpen", "proto/e2e TestFirstMessageOfAnotherCID", "proto/e2e TestRespondersFirstIsNotOpen")},
	{name: "a message bent, cut or lengthened, at each step", source: "docs/PROTOCOL.md 7", tests: by(
		"proto/e2e TestMalloryFlipsEveryByteOfWant", "proto/e2e TestMalloryFlipsEveryByteOfNonce", "proto/e2e TestMalloryFlipsEveryByteOfTheIntroBox",
		"proto/e2e TestMalloryFlipsEveryByteOfOffer", "proto/e2e TestMalloryFlipsEveryByteOfAccept", "proto/e2e TestMalloryFlipsEveryByteOfConfirm", "proto/e2e TestMalloryCutsAndLengthens")},
	{name: "a step out of turn", source: "docs/PROTOCOL.md 7", tests: by("proto/e2e TestStepsOutOfTurn")},
	{name: "Decline", source: "docs/PROTOCOL.md 7", tests: by("proto/e2e TestDecline", "client TestDeclined", "client TestUnknownConversationIsDeclined", "client TestDeclineEndsTheConversation")},
	{name: "a deadline of a step", source: "docs/PROTOCOL.md 7", tests: by("client TestEveryStepMayStall", "client TestStalledTicketAndConfirm")},
	{name: "a bad Confirm against an open conversation", source: "docs/PROTOCOL.md 7", tests: by("client TestBadConfirmReplacesNothing")},
	{name: "Wants and Intros without end", source: "docs/PROTOCOL.md 10", tests: by("client TestWantsAreHeld", "client TestEndlessWants", "server TestIntroLimit")},
}

// What comes after the handshakes.
var offRails = []attack{
	{name: "a record bent, swapped, repeated, dropped or of another length", source: "docs/PROTOCOL.md 5", tests: by(
		"proto/record TestMalloryFlipsAByte", "proto/record TestMalloryLiesAboutTheLength", "proto/record TestMallorySwapsReplaysAndDrops", "proto/record TestLengthThatNoRecordHas")},
	{name: "frames that are none, and padding that is no padding", source: "docs/PROTOCOL.md 5", tests: by(
		"proto TestFrameIsCutOff", "proto TestPaddingIsTheLeastOfZeros", "proto TestRecordWithoutAFrame", "proto TestMalformedFields", "server TestGarbageEndsOnlyItsSession", "client TestServerBreaksTheProtocol")},
	{name: "a key used longer than it may be", source: "docs/PROTOCOL.md 5", tests: by("proto/record TestKeyEndsAtMaxRecords", "proto TestSenderRekeysAfterAnHour", "proto TestSenderRekeysBeforeTheLimitOfRecords", "proto TestRefusedRekeyStepsNothing")},
	{name: "a connection cut off is taken for one that ended", source: "docs/PROTOCOL.md 5", tests: by("client TestServerBreaksOff", "client TestHowReadingEnds")},
}

// Every machine has a fuzz target that gives it whole conversations with bytes changed; the last proves that it is no matter how a stream
// is cut.
var fuzzed = []attack{
	{name: "login, the server's and the client's end", source: "docs/PROTOCOL.md 4", tests: by("proto FuzzLoginServer", "proto FuzzLoginClient", "proto FuzzServerBody")},
	{name: "SRP, both ends", source: "docs/PROTOCOL.md 2.5", tests: by("proto/srp FuzzServerAnswer", "proto/srp FuzzClientFinish")},
	{name: "records and frames", source: "docs/PROTOCOL.md 5", tests: by("proto/record FuzzOpen", "proto FuzzSplitRecord")},
	{name: "a change of password", source: "docs/PROTOCOL.md 9", tests: by("proto FuzzPasswordChange")},
	{name: "an opening, both ends and the server's step", source: "docs/PROTOCOL.md 7", tests: by(
		"proto/e2e FuzzOpening", "proto/e2e FuzzInitiator", "proto/e2e FuzzResponder", "proto/ticket FuzzIntro", "proto/ticket FuzzNonce", "proto/ticket FuzzVersions")},
	{name: "a conversation", source: "docs/PROTOCOL.md 8", tests: by("proto/e2e FuzzConversationOpen", "proto/e2e FuzzHeader", "proto/e2e FuzzPlaintext")},
	{name: "a session, the server's and the client's end", source: "docs/PROTOCOL.md 6", tests: by("server FuzzSession", "server FuzzSeen", "client FuzzSession")},
	{name: "puzzles, names, addresses, and what people type", source: "docs/PROTOCOL.md 2.3, 3", tests: by(
		"proto/puzzle FuzzParse", "proto FuzzParseName", "proto FuzzParseAddress", "client FuzzParseCommand", "client FuzzLines", "client FuzzHarmless", "password FuzzPrepare", "password FuzzCheckStrength")},
	{name: "what is typed, pasted, piped or read as JSON", source: "docs/json.md", tests: by("client/editor FuzzEditor", "client FuzzParseLine", "client FuzzParseMembers", "client FuzzParseWritten", "client FuzzClientEchoesNothing", "client FuzzErrorsEchoNothing")},
	{name: "the admin socket", source: "", tests: by("server FuzzAdmin")},
	{name: "the stream is cut elsewhere", source: "", tests: by("server FuzzSlicing", "client FuzzSlicing")},
}

// readFromEnvironment is what may be read: nothing that is, or could be, a secret. What config.go reads are flags, and
// TestNoFlagIsASecret looks at those; terminal.go asks for LC_ALL, LC_CTYPE and LANG.
var readFromEnvironment = []string{
	` "SIM_SERVER"`, ` "NO_COLOR"`, ` "TERM"`, ` "XDG_RUNTIME_DIR"`, ` "NOTIFY_SOCKET"`, ` "GOMEMLIMIT"`,
	"config.go configVariable", "config.go variable(name)", "reload.go configVariable", "terminal.go variable",
}

// CVE-2023-43621, croc#598: everybody on the machine reads arguments, and much reads the environment. No command takes a password from either.
func TestNoSecretInArguments(t *testing.T) {
	for _, args := range [][]string{
		{"client", "--password", "correct horse"}, {"client", "--password=correct horse"}, {"client", "-p", "correct horse"},
		{"client", "alice", "correct horse"}, {"adduser", "--password", "correct horse", "alice"}, {"adduser", "alice", "correct horse"},
	} {
		var out, errs strings.Builder
		if code := run(t.Context(), append([]string{"sim"}, args...), strings.NewReader(""), &out, &errs); code != 2 {
			t.Errorf("sim %q: code %d", args, code)
		}
		if said := out.String() + errs.String(); strings.Contains(said, "correct horse") {
			t.Errorf("sim %q says it again: %s", args, said)
		}
	}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			switch types.ExprString(call.Fun) {
			case "os.Getenv", "os.LookupEnv", "syscall.Getenv":
				what := s.path + " " + types.ExprString(call.Args[0])
				if i := slices.IndexFunc(readFromEnvironment, func(known string) bool { return strings.HasSuffix(what, known) }); i < 0 {
					t.Errorf("%s from the environment", what)
				}
			}
			return true
		})
	}
}

func TestAttacksHaveTests(t *testing.T) {
	exist, targets := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if !s.test() {
			continue
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || len(f.Type.Params.List) != 1 || f.Name.Name == "TestMain" {
				continue
			}
			what := path.Dir(s.path) + " " + f.Name.Name
			exist[what] = true
			if strings.HasPrefix(f.Name.Name, "Fuzz") {
				targets[what] = true
			}
		}
	}
	if len(exist) < 300 || len(targets) < 20 {
		t.Fatalf("%d tests and %d fuzz targets were found", len(exist), len(targets))
	}
	seen := map[string]bool{}
	for _, a := range attacks {
		if a.name == "" || (len(a.tests) == 0) == (a.left == "") {
			t.Errorf("%q: wants tests, or a reason why there are none", a.name)
		}
		for _, test := range a.tests {
			_, name, _ := strings.Cut(test, " ")
			if !strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, "Fuzz") || !exist[test] {
				t.Errorf("%s: there is no test %s", a.name, test)
			}
			seen[test] = true
		}
	}
	for target := range targets {
		if !seen[target] {
			t.Errorf("%s is a fuzz target without a line", target)
		}
	}
	for _, lines := range [][]attack{knownSRP, knownKeyEstablishment, knownElsewhere, endsOfLogin, endsOfOpening, offRails, fuzzed} {
		names := map[string]bool{}
		for _, a := range lines {
			if names[a.name] {
				t.Errorf("%s: two lines", a.name)
			}
			names[a.name] = true
		}
	}
}
